"""What the end of a run tells beside the counts that every verb has."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """Why attempts failed."""

    reason: str
    attempts: int
    """How many failed for it."""
    names: tuple[str, ...] = ()
    """The first rows or events at which they did."""


@dataclass(frozen=True)
class Drained:
    """The fields of a drain's end beside those of every verb."""

    claimed: int
    failed: int
    """Attempts that failed."""
    dead_letters: int
    """Rows given up on by this run."""
    lost: int
    """Rows whose lease was lost before they could be finalised; what was done for them was not recorded."""
    released: int
    """Rows claimed and released before anyone worked on them."""
    backlog: int | None
    """Pending rows that are free and due; None when not counted."""
    waiting: int | None
    leased: int | None
    oldest_seconds: float | None
    causes: tuple[Cause, ...] = ()
    """Why attempts failed: the first reasons, the commonest first."""


@dataclass(frozen=True)
class Relayed:
    """The fields of a relay's end beside those of every verb."""

    failed: int
    """Attempts that the destination refused."""
    unsent: int
    """Deliveries that were not acknowledged, by no fault of the event."""
    held: int
    """Aggregates that this run holds because an event was refused."""
    dead_letters: int
    """Events that this run gave up on."""
    backlog: int | None
    """Unsent events that nothing holds up; None when not counted."""
    waiting: int | None
    """Unsent events that a refused one of their aggregate holds up."""
    oldest_seconds: float | None
    causes: tuple[Cause, ...] = ()
    """Why attempts failed: the first reasons, the commonest first."""


@dataclass(frozen=True)
class Archived:
    """The fields of an archive's end beside those of every verb."""

    to: str
    """Where the rows are, without secrets."""
    segments: int | None
    """Files of the whole run; None where the rows are in a table."""
    bytes: int | None
    """Of these files."""
    unsealed: int
    """Rows of the run that are in spools, or in a bucket that does not say yet which: the same command seals them."""
    verify: str | None
    """The command that reads all of it back."""
    restore: str | None
    """The command that brings the rows back."""


@dataclass(frozen=True)
class Restored:
    """The fields of a restore's end beside those of every verb."""

    skipped: int
    """Rows of this process whose keys were in the table already, and that were left as they were there."""


@dataclass(frozen=True)
class Families:
    """What the end of a run that changed several tables adds to its own rows."""

    tables: Mapping[str, int]
    """Rows that were deleted, set to NULL or restored, by table; those of the table itself among them."""
    partial: int
    """Rows that no longer matched, or were refused, once some of their children were deleted: the rest stays."""
    begun: int
    """Rows with some children deleted; the same command goes on with them first."""


@dataclass(frozen=True)
class Listed:
    """How many ids of a list were found."""

    ids: int
    """Different ones."""
    not_there: int
    """Those of them that named no row as the run began."""


@dataclass(frozen=True)
class ThrottledBy:
    """What one throttle did to a run."""

    throttle: str
    seconds: float
    """How long it asked to wait, all workers together."""
    value: float | None
    """The highest that it waited for; None where it had no value."""
    limit: float | None


@dataclass(frozen=True)
class SpaceLeft:
    """What the table takes on the disk after the run, by the server's figures; None: it does not say."""

    bytes: int | None
    """With its indexes; in SQLite of the whole file."""
    free_bytes: int | None
    """Of these, what new rows can use at once."""
    dead_rows: int | None
    """Versions of rows that are kept until VACUUM, about."""
    returned_by: str | None
    """The command that returns the space of deleted rows to the disk."""
    freed_bytes: int | None = None
    """What this process has freed by deleting rows."""
    freed_basis: str | None = None
    """How that is known: measured by what, or estimated."""
