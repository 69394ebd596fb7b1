"""Runs as a ledger remembers them."""

from dataclasses import dataclass

import sqlalchemy as sa

from batchops.errors import RefusedError
from batchops.ledger.held_leases import Beat, beats_of
from batchops.ledger.ledger import Ledger
from batchops.ledger.rejected_rows import kept
from batchops.ledger.run import Run


@dataclass(frozen=True)
class Recorded:
    """A run and, while it is at work, its beat."""

    run: Run
    beat: Beat | None

    @property
    def state(self) -> str:
        """As in the ledger, but "crashed" for a run that says it is running and gives no sign of life."""
        if self.run.state == "running" and (self.beat is None or not self.beat.alive):
            return "crashed"
        return self.run.state


def load_runs(ledger: Ledger, *, table: str | None = None, number: int | None = None, limit: int = 1) -> list[Recorded]:
    """The runs, newest first; none where there is no ledger yet."""
    with ledger.database.reading() as connection:
        standing = ledger.standing(connection)
        if standing == "older":
            raise RefusedError(
                "The ledger is of an older version of batchops.",
                "the next run brings it up to date, and so does `batchops ledger init --make`.",
            )
        if standing == "absent":
            return []
        where: list[sa.ColumnElement[bool]] = [sa.true()]
        if table is not None:
            where.append(ledger.runs.c.table_name == table)
        if number is not None:
            where.append(ledger.runs.c.run == number)
        runs = ledger.select_runs(connection, sa.and_(*where), limit=limit)
        beats = beats_of(connection, ledger)
    return [Recorded(run, beats.get(run.run)) for run in runs]


@dataclass(frozen=True)
class Rejections:
    """Rows that a run could not change for one reason."""

    reason: str
    rows: int
    keys: tuple[str, ...]
    """The first of them."""


def load_rejections(ledger: Ledger, run: int, keys: int = 3) -> list[Rejections]:
    """What the run could not change, by reason, the most frequent first; of the first ten thousand rows."""
    with ledger.database.reading() as connection:
        rows = kept(connection, ledger, run)
    names: dict[str, list[str]] = {}
    for row in rows:
        names.setdefault(row.reason, []).append(row.name)
    found = [Rejections(reason, len(some), tuple(some[:keys])) for reason, some in names.items()]
    return sorted(found, key=lambda one: -one.rows)
