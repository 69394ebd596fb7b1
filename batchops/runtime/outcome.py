"""The result of one step of the loop."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchops.events import Rejected
from batchops.ledger.run import Worker
from batchops.runtime.batch_size import Size


@dataclass(frozen=True)
class Outcome:
    """What one committed batch did, or what a fall of the server took back."""

    rows: int
    read: int
    locked: int = 0
    worker: int = 0
    pass_number: int = 0
    """0 in the first pass over the table."""
    rejected: tuple[Rejected, ...] = ()
    size: Size | None = None
    """The size it really had, where that was not the one asked for."""
    undone: int = 0
    """Batches that a fall of the server has taken back; `rows` and `read` are then what is to be taken off."""
    trial: bool = False
    """Whether it only showed that the table takes the marks: it does not count as a batch."""
    refused: int = 0
    """Rows that the database refused, whether they are given up on or tried again later."""
    extra_seconds: float = 0.0
    """Seconds for isolating rejected rows, or for reading ahead, which a smaller batch would not save."""
    last: bool = False
    """Whether the worker that did it has nothing left to do, so that no pause follows."""
    replan: str | None = None
    """Why the run should change its strategy."""

    tables: Mapping[str, int] = field(default_factory=dict)
    """Rows changed by table, of a purge with children; `rows` are those of its own table alone."""

    @property
    def changed(self) -> int:
        """Rows of all tables."""
        return sum(self.tables.values()) if self.tables else self.rows

    @staticmethod
    def between(before: Worker, after: Worker, pass_number: int, undone: int = 0) -> "Outcome":
        """What a worker has done from one checkpoint to another."""
        tables = {name: rows - before.tables.get(name, 0) for name, rows in after.tables.items()}
        tables |= {name: -rows for name, rows in before.tables.items() if name not in after.tables}
        return Outcome(
            after.rows - before.rows, after.read - before.read, after.locked - before.locked, after.number, pass_number,
            undone=undone, tables={name: rows for name, rows in tables.items() if rows},
        )  # fmt: skip

    @property
    def empty(self) -> bool:
        """Whether nothing was done after all: what it was to be done with is not there just now."""
        return not (self.rows or self.tables or self.read or self.rejected or self.undone)

    @property
    def batches(self) -> int:
        """How many more are done now."""
        return -self.undone if self.undone else int(not self.empty and not self.trial)
