"""The values, by row, that a file's types cannot hold exactly."""

from collections.abc import Sequence
from dataclasses import dataclass

from batchops.errors import IntegrityError


@dataclass(frozen=True)
class InexactRow:
    """A value that is not exact: the place of its row among the given lines, its column, and the reason."""

    place: int
    column: str
    reason: str


class InexactRowsError(IntegrityError):
    """Some rows cannot be written so that they are read back the same. Nothing of the segment is kept."""

    def __init__(self, rows: Sequence[InexactRow]) -> None:
        first = rows[0] if rows else InexactRow(0, "", "a value is not exact")
        more = f" ({len(rows)} such values)" if len(rows) > 1 else ""
        super().__init__(
            f"A value cannot be kept exactly: {first.column}: {first.reason}{more}.",
            "leave the column out (--columns).",
        )
        self.rows = tuple(rows)
