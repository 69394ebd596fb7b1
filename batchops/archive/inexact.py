"""Values that a file's types cannot hold exactly, by row."""

from collections.abc import Sequence
from dataclasses import dataclass

from batchops.errors import IntegrityError


@dataclass(frozen=True)
class InexactRow:
    """A row with such a value: its place among the lines that were asked about, the column, and why."""

    place: int
    column: str
    reason: str


class InexactRowsError(IntegrityError):
    """Rows that cannot be written so that they come back the same; nothing of them is kept."""

    def __init__(self, rows: Sequence[InexactRow]) -> None:
        first = rows[0] if rows else InexactRow(0, "", "a value is not exact")
        more = f" ({len(rows)} such values)" if len(rows) > 1 else ""
        super().__init__(
            f"A value cannot be kept exactly: {first.column}: {first.reason}{more}.",
            "leave the column out (--columns), or use --format jsonl.",
        )
        self.rows = tuple(rows)
