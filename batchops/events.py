"""The events of a run, in order: Started, then Throttled, Retried, Committed, Rejected, Stopping, last Finished."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from batchops.finished_details import (
    Archived,
    Cause,
    Drained,
    Families,
    Listed,
    Relayed,
    Restored,
    SpaceLeft,
    ThrottledBy,
)

Reason = str
"""Why a run ended, as documented for the command line: done, max-rows, window, signal, incomplete …"""

IDLE = "idle"
"""The reason in Throttled while there is no work."""

PAUSE = "pause"
"""The name in ThrottleReason while somebody has paused the run."""

SLEEP = "sleep"
"""The reason in Throttled for the pause of `--sleep`; any other reason is a throttle's."""


@dataclass(frozen=True)
class Started:
    """A run begins, or continues where an earlier process left it."""

    run: int | None
    verb: str
    table: str
    strategy: str
    resumed: bool
    table_rows: int | None
    """Rows in the table by the database's own statistics; None if it keeps none."""
    estimate: int | None
    """Rows that match by the database's own statistics, or counted; None if unknown."""
    rows: int = 0
    """Rows that earlier processes of this run have changed."""
    read: int = 0
    """Rows that earlier processes of this run have read."""
    counted: bool = False
    """Whether the estimate is an exact count."""
    counts_read: bool = False
    """Whether progress is the rows read of `table_rows`; if not, it is the rows changed of `estimate`."""
    max_rows: int | None = None
    """Rows after which this process ends; None: no such limit."""
    max_batches: int | None = None
    max_seconds: float | None = None
    removes: bool = False
    """Whether the verb removes rows from the table."""


@dataclass(frozen=True)
class ThrottleReason:
    """Why one throttle asks to wait before the next batch, and for how many seconds."""

    reason: str
    """For people: the signal, its value and its limit."""
    seconds: float
    throttle: str = ""
    """The throttle's name; empty for a reason that no flag sets, like a destination that is down."""
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True)
class UsualReason(ThrottleReason):
    """A reason that belongs to the normal course of a run, like a rate, and is not worth reporting."""


@dataclass(frozen=True)
class Throttled:
    """The loop waits, outside any transaction, for `seconds`."""

    reason: str
    """All reasons in one line."""
    seconds: float
    """The longest wait that one of the reasons asks for."""
    reasons: tuple[ThrottleReason, ...] = ()
    """The reasons of the throttles; empty for IDLE, SLEEP and a closed window."""


@dataclass(frozen=True)
class Retried:
    """A batch met a temporary error and is retried after `seconds`."""

    error: str
    attempt: int
    seconds: float


@dataclass(frozen=True)
class Committed:
    """One batch is committed together with its progress; Warned tells if a crash of the server undoes it."""

    rows: int
    read: int
    seconds: float
    """The time from the first statement to the answer to COMMIT."""
    size: int
    """Rows that the batch aimed to change."""
    worker: int = 0
    pass_number: int = 0
    """0 in the first pass over the table; a further pass looks for rows that moved."""
    tables: Mapping[str, int] = field(default_factory=dict)
    """Rows changed by table in a purge with children; `rows` counts the purged table alone."""


@dataclass(frozen=True)
class Warned:
    """Something that a person should know; the run continues."""

    message: str


@dataclass(frozen=True)
class Stopping:
    """A signal asks the run to stop: it ends after the batch in progress, or, if `hurried`, without it."""

    signal: int
    hurried: bool
    undone: bool
    """Whether a batch that is cut off is rolled back; if not, what its handler or destination did remains."""


@dataclass(frozen=True)
class Rejected:
    """One row that matches was not changed, and why."""

    key: str
    reason: str
    changed: bool = False
    """Whether it was left alone because it changed after the run began; if not, it was refused."""
    unmatched: bool = False
    """Whether it no longer matched once some of its children were deleted; if not, it was refused."""
    ruled: bool = False
    """Whether the job's own condition or options keep it, as the plan says; else the database refused it."""
    partial: bool = False
    """Whether some of its children are deleted; it stays, and so do its other children."""


@dataclass(frozen=True)
class Backlog:
    """The counts of a queue, emitted from time to time while it is drained."""

    backlog: int
    """Pending rows that anyone may claim."""
    waiting: int
    """Pending rows whose next attempt is not due yet."""
    leased: int
    """Rows that any process has claimed."""
    oldest_seconds: float | None
    """How long the oldest row of the backlog has been waiting; None if no column tells."""
    failed: int
    """Attempts of this process that failed."""
    dead_letters: int
    """Rows that this process gave up on."""


@dataclass(frozen=True)
class Fired:
    """What happened to one due fire of a schedule."""

    job: str
    fire_at: int
    """Seconds since 1970, by the clock of the ledger's database."""
    state: str
    """running when the fire begins; then, or instead, ran, skipped, coalesced, taken over or failed; or queued."""
    rows: int = 0
    late: float = 0.0
    """How many seconds after its time the fire was decided."""
    note: str = ""
    fires: int = 1
    """How many missed fires have the same state as this one, which is the newest of them."""


@dataclass(frozen=True)
class Copied:
    """Rows are in segments that are uploaded before the rows are deleted; emitted about twice a second meanwhile."""

    rows: int
    """The rows of the segments in hand."""
    bytes: int
    """The bytes of these rows as text."""
    uploading: bool
    """Whether the segment is complete, and its upload begins."""


@dataclass(frozen=True)
class Maintaining:
    """The batches are over, and this maintenance statement is running for the table."""

    statement: str


@dataclass(frozen=True)
class Failure:
    """The error part of the document."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Finished:
    """The end of a run, with the fields of the JSON document, to which fields are only added."""

    verb: str
    table: str
    reason: Reason
    exit: int
    version: str
    run: int | None = None
    strategy: str | None = None
    rows: int = 0
    """Rows changed by the whole run, earlier processes included."""
    read: int = 0
    batches: int = 0
    retries: int = 0
    rejected: int = 0
    locked: int = 0
    seconds: float = 0.0
    """The wall time of this process in the loop."""
    throttled_seconds: float = 0.0
    throttled_by: tuple[ThrottledBy, ...] = ()
    """How long each throttle made this process wait."""
    cutoff: str | None = None
    """The pinned point in time that the condition uses, with its zone."""
    left: int | None = None
    """Matching rows that remain; None if not counted."""
    next: str | None = None
    """A command that continues the run, without secrets."""
    error: Failure | None = None
    done_at: str | None = None
    """When the earlier run that has already done the job ended; only for "already-done"."""
    rejected_causes: tuple[Cause, ...] = ()
    """The first reasons why rows were rejected, the most frequent first."""
    drained: Drained | None = None
    """Only for a drain; its fields are beside the others in the document."""
    relayed: Relayed | None = None
    """Only for a relay; its fields are beside the others in the document."""
    listed: Listed | None = None
    """Only for a purge or backfill with a list of ids."""
    families: Families | None = None
    """Only for a purge with children; `rows` counts the matching rows of the purged table."""
    maintained: tuple[str, ...] = ()
    """The statements that were run for the table after the last batch."""
    space: SpaceLeft | None = None
    """Only for a purge or backfill that changed rows."""
    archived: Archived | None = None
    """Only for an archive; its fields are beside the others in the document."""
    restored: Restored | None = None
    """Only for a restore; its fields are beside the others in the document."""
    participle: str = "changed"
    """What was done to the rows, for people: deleted."""


Event = (
    Started
    | Throttled
    | Retried
    | Committed
    | Warned
    | Stopping
    | Rejected
    | Backlog
    | Fired
    | Copied
    | Maintaining
    | Finished
)
Emit = Callable[[Event], None]
"""A listener; it must not raise and must not use the run's connections."""
State = Literal["running", "queued", "ran", "skipped", "coalesced", "taken over", "failed"]
"""The state of a fire. The first two are open; the others are ends."""
ENDS: tuple[State, ...] = ("ran", "skipped", "coalesced", "taken over", "failed")
