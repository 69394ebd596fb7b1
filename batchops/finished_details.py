"""The parts of Finished that only some verbs have, besides the counts of every verb."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """A reason why attempts failed."""

    reason: str
    attempts: int
    """How many attempts failed for this reason."""
    names: tuple[str, ...] = ()
    """The names of the first rows or events that failed for it."""


@dataclass(frozen=True)
class Drained:
    """The fields that only the end of a drain has."""

    claimed: int
    failed: int
    """Attempts that failed."""
    dead_letters: int
    """Rows that this run gave up on."""
    lost: int
    """Rows whose lease was lost before they could be finalised; the result of their handler was not recorded."""
    released: int
    """Rows that were claimed and released before a handler got them."""
    backlog: int | None
    """Pending rows that are free and due; None if not counted."""
    waiting: int | None
    leased: int | None
    oldest_seconds: float | None
    causes: tuple[Cause, ...] = ()
    """Why attempts failed: the first reasons, the most frequent first."""


@dataclass(frozen=True)
class Relayed:
    """The fields that only the end of a relay has."""

    failed: int
    """Attempts that the destination refused."""
    unsent: int
    """Deliveries that were not acknowledged for a reason other than the event."""
    held: int
    """Aggregates that this run holds because an event was refused."""
    dead_letters: int
    """Events that this run gave up on."""
    backlog: int | None
    """Unsent events that can be delivered; None if not counted."""
    waiting: int | None
    """Unsent events that wait behind a refused event of their aggregate."""
    oldest_seconds: float | None
    causes: tuple[Cause, ...] = ()
    """Why attempts failed: the first reasons, the most frequent first."""


@dataclass(frozen=True)
class Archived:
    """The fields that only the end of an archive has."""

    to: str
    """Where the rows are, without secrets."""
    segments: int | None
    """How many files the whole run has written; None if the rows are in a table."""
    bytes: int | None
    """The size of these files."""
    unsealed: int
    """Rows of the run that are in spools, or in files of a bucket that does not record yet which rows are archived.

    The same command seals them."""
    verify: str | None
    """The command that verifies the files by reading them back."""
    restore: str | None
    """The command that restores the rows."""
    partitions: int = 0
    """How many partitions the whole run has dropped."""


@dataclass(frozen=True)
class Restored:
    """The fields that only the end of a restore has."""

    skipped: int
    """Rows whose keys were already in the table, so that this process left the rows there unchanged."""


@dataclass(frozen=True)
class Families:
    """The fields that only the end of a run over several tables has."""

    tables: Mapping[str, int]
    """Rows that were deleted or restored, by table, with those of the run's own table. Rows that stay with a reference
    set to NULL count apart: as `items set to NULL`."""
    partial: int
    """Rows that no longer matched, or were refused, once some of their children were deleted; the rest stays."""
    begun: int
    """Rows of which some children are deleted; the same command continues with them first."""


@dataclass(frozen=True)
class Listed:
    """How many ids of a list were found."""

    ids: int
    """The number of different ids."""
    not_there: int
    """The ids that named no row when the run began."""


@dataclass(frozen=True)
class ThrottledBy:
    """How long one throttle made a run wait."""

    throttle: str
    seconds: float
    """How long all workers together waited for it."""
    value: float | None
    """The highest value for which it made the run wait; None if it had no value."""
    limit: float | None


@dataclass(frozen=True)
class SpaceLeft:
    """The table's space on the disk after the run, by the server's figures; None: the server does not say."""

    bytes: int | None
    """The bytes of the table with its indexes; in SQLite those of the whole file."""
    free_bytes: int | None
    """The part of these bytes that new rows can use at once."""
    dead_rows: int | None
    """About how many versions of rows are kept until VACUUM."""
    returned_by: str | None
    """The command that returns the space of deleted rows to the disk."""
    freed_bytes: int | None = None
    """The bytes that this process has freed by deleting rows."""
    freed_basis: str | None = None
    """How `freed_bytes` is known: what measured it, or that it is estimated."""
