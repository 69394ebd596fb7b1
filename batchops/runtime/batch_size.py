"""Size: how large the next batch may be."""

from dataclasses import dataclass, replace

START_ROWS = 500
"""Rows that a batch aims to change before anything is known of their cost."""


@dataclass(frozen=True)
class Share:
    """The rows that a batch may use of a limit."""

    limit: str
    """The option that sets the limit, without dashes."""
    rows: int
    of: int
    """The rows that the limit allows this process in all."""

    @property
    def whole(self) -> bool:
        """Whether this is the whole limit, so that no batch can ever have more."""
        return self.rows == self.of


@dataclass(frozen=True)
class Size:
    """How large the next batch may be: the rows that it aims to change, and the rows that it may read for them."""

    rows: int
    read: int
    exact: bool = False
    """Whether `rows` must not be exceeded, as under a limit."""
    cut: Share | None = None
    """The share of a limit that leaves fewer rows than the batch would have without it."""
    together: int | None = None
    """The rows that a larger batch may have, for rows that can only be changed together."""
    larger: bool = False
    """Whether this is the larger batch, for rows that can only be changed together."""
    skip_locked: bool = False
    """Whether to leave out rows that others have locked, and to visit them again later."""
    unlocked: bool = False
    """Whether the batch only reads its rows, and so locks none."""
    parents: Share | None = None
    """For a purge with children: the most rows of the purged table itself; `rows` then counts all tables."""

    follows: bool = False
    """Whether the next batch is expected to follow at once, so that it may be prepared with this one."""

    def upto(self, most: int) -> "Size":
        """Return the size cut to `most` rows, with the rows read cut in proportion."""
        if self.rows <= most:
            return self
        return replace(self, rows=most, read=max(most, self.read * most // self.rows))

    @property
    def listed(self) -> bool:
        """Whether to list the rows, as a plain range could hold more than twice the aim, or more than is allowed."""
        return self.exact or self.skip_locked or self.read > 2 * self.rows
