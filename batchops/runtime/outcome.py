"""Outcome: the result of one step of the loop."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchops.events import Rejected
from batchops.ledger.run import Worker
from batchops.runtime.batch_size import Size


@dataclass(frozen=True)
class Outcome:
    """What one committed batch did, or what a crash of the server undid."""

    rows: int
    read: int
    locked: int = 0
    worker: int = 0
    pass_number: int = 0
    """0 in the first pass over the table."""
    rejected: tuple[Rejected, ...] = ()
    size: Size | None = None
    """The size that the batch had, where it differs from the one asked for."""
    undone: int = 0
    """How many batches a crash of the server undid; `rows` and `read` are negative then."""
    trial: bool = False
    """Whether it was a trial of whether the table accepts the marks, which does not count as a batch."""
    refused: int = 0
    """How many rows the database refused, whether they are given up on or tried again later."""
    extra_seconds: float = 0.0
    """Seconds spent on isolating rejected rows or on reading ahead, which a smaller batch would not save."""
    last: bool = False
    """Whether the worker that did the batch has nothing left to do, so that no pause follows."""
    larger: bool = False
    """Whether nothing was done because the next rows can only be changed together: a larger batch may hold them."""
    replan: str | None = None
    """Why the run should change its strategy."""

    tables: Mapping[str, int] = field(default_factory=dict)
    """Rows changed by table in a purge with children; `rows` counts the purged table alone."""

    @property
    def changed(self) -> int:
        """The rows changed in all tables."""
        return sum(self.tables.values()) if self.tables else self.rows

    @staticmethod
    def between(before: Worker, after: Worker, pass_number: int, undone: int = 0) -> "Outcome":
        """Return what a worker has done from one checkpoint to another."""
        tables = {name: rows - before.tables.get(name, 0) for name, rows in after.tables.items()}
        tables |= {name: -rows for name, rows in before.tables.items() if name not in after.tables}
        return Outcome(
            after.rows - before.rows, after.read - before.read, after.locked - before.locked, after.number, pass_number,
            undone=undone, tables={name: rows for name, rows in tables.items() if rows},
        )  # fmt: skip

    @property
    def empty(self) -> bool:
        """Whether the step did nothing, because it found nothing to work on at this moment."""
        return not (self.rows or self.tables or self.read or self.rejected or self.undone)

    @property
    def batches(self) -> int:
        """How many batches this outcome adds; negative if a crash undid some."""
        return -self.undone if self.undone else int(not self.empty and not self.trial)
