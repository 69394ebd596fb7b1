"""How large the next batch may be."""

from dataclasses import dataclass, replace

START_ROWS = 500
"""Rows that a batch aims to change before anything is known of their cost."""


@dataclass(frozen=True)
class Size:
    """How large the next batch may be: rows it aims to change, rows it may read for that."""

    rows: int
    read: int
    exact: bool = False
    """Whether `rows` must not be exceeded, as under a limit."""
    cut: bool = False
    """Whether a limit leaves fewer rows than a batch would have."""
    skip_locked: bool = False
    """Whether to leave out rows that others hold locked, and to visit them again."""
    unlocked: bool = False
    """Whether its rows are only read, so that none is locked."""
    parents: int | None = None
    """Of a purge with children, whose `rows` are those of all tables: the most rows of its own table."""

    follows: bool = False
    """Whether the next batch follows at once, as far as is known, and may be prepared with this one."""

    def upto(self, most: int) -> "Size":
        """No more than so many rows, and no more read for them than in proportion."""
        if self.rows <= most:
            return self
        return replace(self, rows=most, read=max(most, self.read * most // self.rows))

    @property
    def listed(self) -> bool:
        """Whether a plain range could hold more than twice the aim, or too many at all."""
        return self.exact or self.skip_locked or self.read > 2 * self.rows
