"""find_last_run(): the last run of a job, and whether its table is the one that has the name now."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from batchops.db.types import KeyValue
from batchops.ledger.ledger import Ledger
from batchops.ledger.rejected_rows import to_retry
from batchops.ledger.run import JobIdentity, Run

Table = Literal["same", "rewritten", "exchanged", "renamed"]
"""What happened to the run's table since, as far as the server can tell: nothing, its rows were rewritten, another
table has its name now, it was renamed."""


REJECTING = frozenset({"incomplete", "max-rejected"})
"""The states of a run after which its rejected rows are tried again."""


@dataclass(frozen=True)
class LastRun:
    """The last run of a job."""

    run: Run
    table: Table = "same"
    again: tuple[KeyValue, ...] = ()
    """The rejected rows that are tried again if the run is continued."""

    @property
    def another(self) -> str:
        """A message that says why the table may not be the one that the run worked on."""
        run = self.run
        if self.table == "renamed":
            return f'The table is the one that run {run.run} knew as "{run.table}".'
        return (
            f'Table "{run.table}" is not the one that run {run.run} worked on: it was recreated, swapped, restored '
            "or rebuilt since."
        )


def find_last_run(
    connection: sa.Connection, ledger: Ledger, job: JobIdentity, key: str, *, once: bool,
    names_rows: Callable[[Run], bool],
) -> LastRun | None:  # fmt: skip
    """Return the last run of the job; None if the ledger has none.

    Work that must be done `once` only is also looked up under other names of the table.
    `names_rows` returns whether the keys that a run has recorded still name the same rows.
    """
    last = ledger.latest(connection, key)
    found = last or (_under_another_name(connection, ledger, job) if once else None)
    if found is None:
        return None
    again = to_retry(connection, ledger, found.run) if found.state in REJECTING and names_rows(found) else ()
    # Not by which query found the run: another process may have begun the job between the two.
    return LastRun(found, _table_change(found, job, renamed=found.job != key), tuple(row.key for row in again))


def _table_change(run: Run, job: JobIdentity, *, renamed: bool) -> Table:
    if renamed:
        return "renamed"
    if job.evidence.is_another_than(run.evidence):
        return "exchanged"
    return "rewritten" if job.evidence.was_rewritten_since(run.evidence) else "same"


def _under_another_name(connection: sa.Connection, ledger: Ledger, job: JobIdentity) -> Run | None:
    if job.evidence.table is None:
        return None
    runs = ledger.runs.c
    found = ledger.select_runs(
        connection, sa.and_(runs.table_identity == job.evidence.table, runs.work == job.work), limit=1
    )
    return found[0] if found else None
