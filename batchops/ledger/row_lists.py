"""The tables that list rows for a run: their names, the right to create them, and their removal."""

import re
from contextlib import suppress

import sqlalchemy as sa
from sqlalchemy.schema import DropTable

from batchops.db.table import Column, Table
from batchops.errors import BatchopsError, RefusedError
from batchops.ledger.ledger import Ledger
from batchops.ledger.rejected_rows import to_retry

_PREFIX = "batchops_list_"
_NAME = re.compile(rf"{_PREFIX}(\d+)_[0-9a-f]+")


def name_of(run: int, token: str) -> str:
    """Return the name of a list for a run; the `token` is random, so that two processes never make the same table."""
    return f"{_PREFIX}{run}_{token}"


def obstacle(ledger: Ledger, role: str) -> RefusedError | None:
    """Return the error that keeps this role from making lists beside the ledger; None if there is none."""
    rights = ledger.database.backend.rights
    table = Table(ledger.schema, name_of(0, "0"), "table", (Column("number", "", nullable=True),), (), "")
    with ledger.database.explaining() as connection:
        grant = rights.listing(connection, table, role)
    if grant is None:
        return None
    return RefusedError(f'Role "{role}" may not make the table that lists the rows.', f"grant it:\n{grant}")


def drop(ledger: Ledger, name: str) -> None:
    """Remove a list; if that fails, the next run or `ledger prune` removes it."""
    table = sa.Table(name, sa.MetaData(schema=ledger.schema))
    with suppress(BatchopsError), ledger.database.transaction() as connection:
        connection.execute(DropTable(table, if_exists=True))


def drop_unneeded(ledger: Ledger) -> int:
    """Remove the lists that no run will continue from; return how many."""
    if not ledger.in_target:
        return 0
    with ledger.database.reading() as connection:
        names = [name for name in sa.inspect(connection).get_table_names(schema=ledger.schema) if _NAME.fullmatch(name)]
        unneeded = [name for name in names if not _needed(connection, ledger, name)]
    for name in unneeded:
        drop(ledger, name)
    return len(unneeded)


def drop_if_unneeded(ledger: Ledger, name: str) -> None:
    """Remove a list unless a run will continue from it; if the ledger cannot be read, the next run tries again."""
    with suppress(BatchopsError):
        with ledger.database.reading() as connection:
            needed = _needed(connection, ledger, name)
        if not needed:
            drop(ledger, name)


def _needed(connection: sa.Connection, ledger: Ledger, name: str) -> bool:
    found = _NAME.fullmatch(name)
    assert found is not None  # callers pass names of lists only
    runs = ledger.select_runs(connection, ledger.runs.c.run == int(found[1]), limit=1)
    if not runs or runs[0].state == "done":
        return False
    if runs[0].state == "incomplete" and not _retries(connection, ledger, runs[0].run):
        return False
    latest, run = ledger.latest(connection, runs[0].job), runs[0]
    if latest is None or latest.run != run.run:
        return False
    listed = run.pinned.get("row_list")
    # While the run has recorded no list, a process may be making this one.
    return listed is None or listed["name"] == name


def _retries(connection: sa.Connection, ledger: Ledger, run: int) -> bool:
    """Whether the next run will retry rows of this one; after a purge or a repeatable backfill it begins anew."""
    continued = sa.select(ledger.runs.c.run).where(ledger.runs.c.run == run, ledger.runs.c.prunable == 0)
    return connection.execute(continued).first() is not None and bool(to_retry(connection, ledger, run, most=1))
