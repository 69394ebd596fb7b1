"""decide(): what happens to due fires, also to those that were missed or overlap with a running one.

It reads and writes nothing itself: from what the ledger says, it makes one decision for every due fire.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from batchops import durations
from batchops.events import State
from batchops.spec.times import FireTimes

Overlap = Literal["skip", "queue", "parallel"]
Missed = Literal["once", "skip", "all"]
PUNCTUAL = 60.0
"""The default misfire grace time in seconds, where missed fires are skipped."""


@dataclass(frozen=True)
class MisfirePolicy:
    """How a schedule treats fires that overlap or are late; times are in seconds."""

    overlap: Overlap = "skip"
    missed: Missed = "once"
    jitter: float = 0.0
    misfire_grace_time: float | None = None

    @property
    def latest(self) -> float | None:
        """The seconds after which a fire is no longer run; None: no limit."""
        if self.misfire_grace_time is None and self.missed == "skip":
            return PUNCTUAL + self.jitter
        return self.misfire_grace_time


@dataclass(frozen=True)
class Schedule:
    """A schedule: its fire times and its policy for misfires."""

    name: str
    """The name in the table of fires."""
    times: FireTimes
    policy: MisfirePolicy = MisfirePolicy()

    def due_at(self, fire_at: int) -> float:
        """Return when the fire is to begin: its time plus a delay below the jitter, the same on every host."""
        share = int.from_bytes(sha256(f"{self.name} {fire_at}".encode()).digest()[:6]) / 2**48
        return fire_at + share * self.policy.jitter


@dataclass(frozen=True)
class OpenFires:
    """The open fires of a schedule, each kind oldest first."""

    running: tuple[int, ...] = ()
    """Those whose owners are alive."""
    abandoned: tuple[int, ...] = ()
    """Those whose owners have died, or released them half done."""
    queued: tuple[int, ...] = ()


@dataclass(frozen=True)
class Decided:
    """The row to write for a fire that was due."""

    fire_at: int
    state: State
    note: str = ""


@dataclass(frozen=True)
class Decision:
    """The rows for due fires, of which one may start now; or an open fire to start."""

    new: Sequence[Decided] = ()
    start: int | None = None
    waits: bool = False
    """Whether a fire has to start as soon as a worker is free."""


def decide(policy: MisfirePolicy, open_fires: OpenFires, due: Sequence[int], now: float, *, free: bool) -> Decision:
    """Decide each of the due fires; or none of them yet, if a fire has to start and no worker is `free`."""
    late = [at for at in due if policy.latest is not None and now - at > policy.latest]
    new = [Decided(at, "skipped", f"found {durations.show(now - at)} late") for at in late]
    due = [at for at in due if at not in set(late)]
    if open_fires.running and policy.overlap != "parallel":
        return Decision([*new, *_overlapping(policy, due, len(open_fires.queued))])
    starts = open_fires.abandoned or open_fires.queued or due
    if starts and not free:
        return Decision(waits=True)
    if open_fires.abandoned:
        return Decision([*new, *_behind_a_take_over(policy, due)], open_fires.abandoned[0])
    if open_fires.queued:
        return Decision([*new, *_overlapping(policy, due, len(open_fires.queued) - 1)], open_fires.queued[0])
    return Decision([*new, *_made_up_for(policy, due)])


def _overlapping(policy: MisfirePolicy, due: Sequence[int], queued: int) -> list[Decided]:
    if policy.overlap == "parallel":
        return _behind_a_take_over(policy, due)
    if policy.overlap == "skip":
        return [Decided(at, "skipped", "an earlier fire is still running") for at in due]
    if queued or not due:
        return [Decided(at, "coalesced", "into the fire that already waits") for at in due]
    return [*_coalesced(due[:-1], due[-1]), Decided(due[-1], "queued")]


def _behind_a_take_over(policy: MisfirePolicy, due: Sequence[int]) -> list[Decided]:
    """Decide the fires due behind a fire that is taken over: it began before they were due, so the newest is queued."""
    if policy.missed == "all":
        return [Decided(at, "queued") for at in due]
    return [*_passed_over(policy, due), *(Decided(at, "queued") for at in due[-1:])]


def _made_up_for(policy: MisfirePolicy, due: Sequence[int]) -> list[Decided]:
    if policy.missed == "all":
        return [Decided(at, "queued" if n else "running") for n, at in enumerate(due)]
    return [*_passed_over(policy, due), *(Decided(at, "running") for at in due[-1:])]


def _passed_over(policy: MisfirePolicy, due: Sequence[int]) -> list[Decided]:
    """Skip or coalesce all due fires but the newest."""
    if policy.missed == "skip":
        return [Decided(at, "skipped", "missed") for at in due[:-1]]
    return _coalesced(due[:-1], due[-1]) if due else []


def _coalesced(fires: Sequence[int], into: int) -> list[Decided]:
    return [Decided(at, "coalesced", f"into the fire of {into}") for at in fires]
