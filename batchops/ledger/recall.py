"""The last run of a job, and whether it was over the table that has the name now."""

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from batchops.ledger.identity import JobIdentity
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import Run

Table = Literal["same", "rewritten", "exchanged", "renamed"]
"""What became of the run's table, so far as the server can tell: nothing, its rows were written anew, another has
taken its name, it has another name."""


@dataclass(frozen=True)
class Recalled:
    """A job's last run."""

    run: Run
    table: Table = "same"

    @property
    def another(self) -> str:
        """What speaks against taking the table for the run's, in words."""
        run = self.run
        if self.table == "renamed":
            return f'The table is the one that run {run.run} knew as "{run.table}".'
        return (
            f'Table "{run.table}" is not the one that run {run.run} worked on: it was made anew, swapped, restored '
            "or rebuilt since."
        )


def recall(connection: sa.Connection, ledger: Ledger, job: JobIdentity, key: str, *, once: bool) -> Recalled | None:
    """What the ledger knows of the job. Work to be done `once` is looked for under the table's other names too."""
    last = ledger.latest(connection, key)
    if last is None:
        other = _under_another_name(connection, ledger, job) if once else None
        return None if other is None else Recalled(other, "renamed")
    if job.evidence.is_another_than(last.evidence):
        return Recalled(last, "exchanged")
    return Recalled(last, "rewritten" if job.evidence.was_rewritten_since(last.evidence) else "same")


def _under_another_name(connection: sa.Connection, ledger: Ledger, job: JobIdentity) -> Run | None:
    if job.evidence.table is None:
        return None
    runs = ledger.runs.c
    found = ledger.select_runs(
        connection, sa.and_(runs.table_identity == job.evidence.table, runs.work == job.work), limit=1
    )
    return found[0] if found else None
