"""missing_grants(): the GRANTs that a role lacks to use a ledger, found before a run needs them."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.rights import grant
from batchops.db.table import Column, Table

_CHANGED = ("SELECT", "INSERT", "UPDATE")
_ALL = (*_CHANGED, "DELETE")
RUNS = "batchops_run"
NEEDED = {
    "batchops_ledger": ("SELECT",),
    **dict.fromkeys(("batchops_run", "batchops_worker", "batchops_lease", "batchops_spool", "batchops_segment"), _ALL),
    "batchops_rejected": ("SELECT", "INSERT", "DELETE"),
    "batchops_request": ("SELECT", "INSERT", "DELETE"),
    "batchops_sample": ("SELECT", "INSERT", "DELETE"),
    "batchops_plan": ("SELECT", "INSERT", "DELETE"),
    "batchops_event": ("SELECT", "INSERT", "DELETE"),
    **dict.fromkeys(("batchops_fire", "batchops_relay", "batchops_shard", "batchops_failed"), _ALL),
}
"""The rights that a run, a scheduler or a relay needs on each of its tables."""


def missing_grants(
    database: Database, tables: Sequence[sa.Table], there: frozenset[str], role: str, *, numbered: bool
) -> list[str]:  # fmt: skip
    """Return the GRANT statements that the role lacks to make these tables, or to use those that are `there`.

    `numbered`: whether the table of runs is ready for new rows, whose numbers the database draws.
    """
    if not role:  # a file, which has no roles
        return []
    rights, names = database.backend.rights, [(table.schema, table.name) for table in tables if table.name in there]
    with database.explaining() as connection:
        # In an older ledger, whose version the role may not read, some of the expected tables may be missing.
        own = {table.name: table for table in database.backend.catalog.find_all(connection, names)}
        makings = (rights.making(connection, _as_table(table), role) for table in tables if table.name not in own)
        found = [statement for statement in makings if statement is not None]
        found += _missing(connection, database, list(own.values()), role)
        numbers = rights.numbering(connection, list(own.values()), role)
    # Few runs need the numbering of rejected rows: it is listed with the others, but alone it refuses no run.
    if found or (numbered and numbers.get(RUNS)):
        found += [statement for statements in numbers.values() for statement in statements]
    return list(dict.fromkeys(found))


def _missing(connection: sa.Connection, database: Database, own: Sequence[Table], role: str) -> Iterator[str]:
    rights = database.backend.rights
    needed = {table.name: NEEDED.get(table.name, _CHANGED) for table in own}
    if rights.all_held(connection, [(table, right) for table in own for right in needed[table.name]]):
        return
    for table in own:
        lacks = [
            right
            for right in needed[table.name]
            if rights.missing(connection, table, right, () if right == "DELETE" else table.column_names) is not None
        ]
        if lacks:
            yield grant(connection.dialect, lacks, table, rights.account(connection.dialect, role))


def _as_table(table: sa.Table) -> Table:
    columns = tuple(Column(column.name, "", nullable=True) for column in table.columns)
    return Table(table.schema, table.name, "table", columns, (), "")
