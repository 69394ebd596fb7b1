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
"""Why a run ended; the words of the command line's contract: done, max-rows, window, signal, incomplete …"""

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
    """Rows in the table by the database's own statistics; None where it keeps none."""
    estimate: int | None
    """Rows that match by the database's own statistics; None where it cannot tell."""
    rows: int = 0
    """Rows that earlier processes of this run have changed."""
    read: int = 0
    """Rows that earlier processes of this run have read."""
    counted: bool = False
    """Whether the estimate was counted."""
    counts_read: bool = False
    """Whether rows read, of `table_rows`, tell how far the run is; else rows changed, of `estimate`."""
    max_rows: int | None = None
    """Rows after which this process ends; None: no such limit."""
    max_batches: int | None = None
    max_seconds: float | None = None
    removes: bool = False
    """Whether a row that is done is gone from the table."""


@dataclass(frozen=True)
class ThrottleReason:
    """Why one throttle asks to wait before the next batch, and for how many seconds."""

    reason: str
    """For people: the signal, its value and its limit."""
    seconds: float
    throttle: str = ""
    """Its name; empty for what no flag names, like a destination that is down."""
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True)
class UsualReason(ThrottleReason):
    """One that belongs to the course of a run, as a rate does: it is no news."""


@dataclass(frozen=True)
class Throttled:
    """The loop waits, outside any transaction, for `seconds`."""

    reason: str
    """All reasons in one line."""
    seconds: float
    """The longest that one of them asks for."""
    reasons: tuple[ThrottleReason, ...] = ()
    """Those of the throttles; empty for IDLE, SLEEP and a closed window."""


@dataclass(frozen=True)
class Retried:
    """A batch met a temporary error and is retried after `seconds`."""

    error: str
    attempt: int
    seconds: float


@dataclass(frozen=True)
class Committed:
    """One batch is committed, its progress with it; see Warned for what a fall of the server takes back."""

    rows: int
    read: int
    seconds: float
    """From the first statement to the answer to COMMIT."""
    size: int
    """Rows that the batch aimed to change."""
    worker: int = 0
    pass_number: int = 0
    """0 in the first pass over the table; a further one looks for rows that moved."""
    tables: Mapping[str, int] = field(default_factory=dict)
    """Rows changed by table, of a purge with children; `rows` are those of its own table alone."""


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
    """Whether a batch that is cut off is rolled back whole; else what its handler or destination did stays."""


@dataclass(frozen=True)
class Rejected:
    """One row that matches was not changed, and why."""

    key: str
    reason: str
    changed: bool = False
    """Whether it was left alone, as it was changed since the run began; else it was refused."""
    unmatched: bool = False
    """Whether it no longer matched once some of its children were deleted; else it was refused."""
    partial: bool = False
    """Whether some of its children are deleted: the rest stays."""


@dataclass(frozen=True)
class Backlog:
    """The counts of a queue, emitted from time to time while it is drained."""

    backlog: int
    """Pending rows that anyone may claim."""
    waiting: int
    """Pending rows whose next attempt is not due yet."""
    leased: int
    """Rows in flight, anyone's."""
    oldest_seconds: float | None
    """How long the oldest of the backlog has been waiting; None where no column tells."""
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
    """running when it begins; then, or instead: ran, skipped, coalesced, taken over, failed; or queued."""
    rows: int = 0
    late: float = 0.0
    """Seconds after its time at which it was decided."""
    note: str = ""
    fires: int = 1
    """How many missed ones went the same way with it; it is the newest of them."""


@dataclass(frozen=True)
class Maintaining:
    """The batches are over, and this statement is at work for the table."""

    statement: str


@dataclass(frozen=True)
class Failure:
    """The error part of the document."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Finished:
    """The end of a run: the JSON document's fields, which are only ever added to."""

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
    """This process's wall time in the loop."""
    throttled_seconds: float = 0.0
    throttled_by: tuple[ThrottledBy, ...] = ()
    """What each throttle did to this process."""
    cutoff: str | None = None
    """The pinned point in time that the condition uses, with its zone."""
    left: int | None = None
    """Matching rows that remain; None when not counted."""
    next: str | None = None
    """A command that continues, without secrets."""
    error: Failure | None = None
    done_at: str | None = None
    """When the run ended that has done it already; of "already-done" only."""
    rejected_causes: tuple[Cause, ...] = ()
    """The first reasons why rows were rejected, the commonest first."""
    drained: Drained | None = None
    """Of a drain only; its fields stand beside the others in the document."""
    relayed: Relayed | None = None
    """The same of a relay."""
    listed: Listed | None = None
    """Of a purge or backfill with a list of ids."""
    families: Families | None = None
    """Of a purge with children; `rows` are those of its own table that were asked for."""
    maintained: tuple[str, ...] = ()
    """The statements that were run for the table after the last batch."""
    space: SpaceLeft | None = None
    """Of a purge or backfill that changed rows."""
    archived: Archived | None = None
    """Of an archive only; its fields stand beside the others in the document."""
    restored: Restored | None = None
    """The same of a restore."""
    participle: str = "changed"
    """What was done to its rows, for people: deleted."""


Event = (
    Started | Throttled | Retried | Committed | Warned | Stopping | Rejected | Backlog | Fired | Maintaining | Finished
)
Emit = Callable[[Event], None]
"""A listener; it must not raise and must not use the run's connections."""
State = Literal["running", "queued", "ran", "skipped", "coalesced", "taken over", "failed"]
"""Of a fire. The first two are open; the others are ends."""
ENDS: tuple[State, ...] = ("ran", "skipped", "coalesced", "taken over", "failed")
