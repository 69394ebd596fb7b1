"""The destinations of events: one file for each kind."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol, runtime_checkable

from batchops.db.storable_text import spelled
from batchops.errors import BatchopsError, Exit


class Message(NamedTuple):
    """An event as a broker gets it."""

    id: str
    """The event's own id: it travels along, so that a consumer knows what it has seen."""
    topic: str
    key: str
    """What is kept in order: the aggregate."""
    headers: Mapping[str, str]
    body: bytes
    null: bool = False
    """Whether there is no content at all, rather than an empty one."""
    properties: Mapping[str, str] = MappingProxyType({})
    """What describes it in the broker's own fields, by their names."""


@dataclass(frozen=True)
class Refused:
    """The destination will not take this event: it is the event's fault, and an attempt counts."""

    reason: str
    final: bool = False
    """Whether another attempt would only be refused again."""
    after: float | None = None
    """Seconds until the next attempt, where the destination asked for that."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", spelled(self.reason))


@dataclass(frozen=True)
class Unsent:
    """Not acknowledged, by no fault of the event: no attempt counts."""

    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", spelled(self.reason))


Delivery = Refused | Unsent | None
"""None: acknowledged, and only then."""


class SinkDownError(BatchopsError):
    """The destination itself cannot be reached or takes nothing at present; no event is to blame."""


class AccessRefusedError(SinkDownError):
    """The destination answers and refuses the connection itself: its user, password, virtual host or database.

    Waiting does not help, so the delivery ends.
    """

    exit = Exit.UNREACHABLE
    reason = "unreachable"


class Sink(Protocol):
    """Delivers messages and tells of each what became of it."""

    def open(self) -> None:
        """Connect; SinkDownError where that fails now, AccessRefusedError where it fails until somebody changes the
        address or the rights, UsageError where it cannot ever. Open already: nothing."""

    def send(self, messages: Sequence[Message]) -> Sequence[Delivery]:
        """A delivery per message, in their order. Messages of one key go out in that order, and after one of them
        that was not acknowledged no later one of its key is delivered by this call: those are Unsent."""

    def close(self) -> None:
        """Release connections; called again, it does nothing."""


def answers(sink: Sink) -> bool:
    """Whether it can be connected to now."""
    try:
        sink.open()
    except SinkDownError:
        return False
    return True


@runtime_checkable
class HasProperties(Protocol):
    """A sink whose messages have fields of the broker's own beside their headers."""

    properties: Collection[str]
    """Their names."""


@runtime_checkable
class WarnsOfLoss(Protocol):
    """A sink that can tell what becomes of events that its destination has acknowledged."""

    def loss_warning(self, topic: str) -> str | None:
        """What of that topic is lost when the destination merely starts again, and how to prevent it.

        None where nothing is lost, or it does not say. Asks, changes nothing, and never fails.
        """
