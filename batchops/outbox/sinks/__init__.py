"""The sinks, which deliver events to a destination: one file for each kind."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol, runtime_checkable

from batchops.db.storable_text import spelled
from batchops.errors import BatchopsError, Exit


class Message(NamedTuple):
    """An event in the form in which a sink sends it."""

    id: str
    """The event's own id. It is sent along, so that a consumer can recognise an event that it has had before."""
    topic: str
    key: str
    """The aggregate: messages of one key are delivered in order."""
    headers: Mapping[str, str]
    body: bytes
    null: bool = False
    """Whether the payload is NULL; `body` is empty then."""
    properties: Mapping[str, str] = MappingProxyType({})
    """Values for the broker's own message fields, by the name of the field."""


@dataclass(frozen=True)
class Refused:
    """The destination refused this event because of the event itself. It counts as an attempt."""

    reason: str
    final: bool = False
    """Whether another attempt would only be refused again."""
    after: float | None = None
    """Seconds until the next attempt, where the destination asked for that."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", spelled(self.reason))


@dataclass(frozen=True)
class Unsent:
    """The event was not acknowledged, but is not to blame. No attempt is counted."""

    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", spelled(self.reason))


Delivery = Refused | Unsent | None
"""What became of a message. None: the destination acknowledged it; no other case is None."""


class SinkDownError(BatchopsError):
    """The destination cannot be reached, or accepts nothing at present. No event is to blame."""


class AccessRefusedError(SinkDownError):
    """The destination answers, but refuses the connection: the user, password, virtual host or database.

    Waiting does not help, so the delivery ends.
    """

    exit = Exit.UNREACHABLE
    reason = "unreachable"


class Sink(Protocol):
    """Delivers messages, and returns for each what became of it."""

    def open(self) -> None:
        """Connect; do nothing if the sink is open.

        Raise SinkDownError if connecting fails at present, AccessRefusedError if it fails until somebody changes the
        address or the rights, UsageError if it can never succeed.
        """

    def send(self, messages: Sequence[Message]) -> Sequence[Delivery]:
        """Deliver the messages, and return a delivery for each, in the same order.

        Messages of one key are sent in that order. Once one of them is not acknowledged, this call delivers no later
        message of that key: those are Unsent.
        """

    def close(self) -> None:
        """Release the connections. A second call does nothing."""


def answers(sink: Sink) -> bool:
    """Whether the sink can connect to its destination now."""
    try:
        sink.open()
    except SinkDownError:
        return False
    return True


@runtime_checkable
class HasProperties(Protocol):
    """A sink whose broker has message fields of its own, beside the headers."""

    properties: Collection[str]
    """The names of those fields."""


@runtime_checkable
class WarnsOfLoss(Protocol):
    """A sink that can warn if its destination may lose events that it has acknowledged."""

    def loss_warning(self, topic: str) -> str | None:
        """Return which events of the topic are lost when the destination restarts, and how to prevent that.

        None if nothing is lost, or if the destination does not say. This only asks the destination: it changes
        nothing, and never raises an error.
        """
