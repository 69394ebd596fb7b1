"""What a test needs of a destination, whatever it is: where it is, and what it has got."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from batchops.outbox.sinks import Delivery, Message


@dataclass(frozen=True)
class Received:
    """A message as a consumer sees it."""

    id: str
    key: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)


class Receiver(Protocol):
    """A destination of a test's own."""

    @property
    def url(self) -> str:
        """For `sink_of`."""

    @property
    def topic(self) -> str:
        """Of messages that arrive there."""

    def received(self, count: int) -> Sequence[Received]:
        """What came, in its order; waits until there are so many."""

    def everything(self) -> Sequence[Received]:
        """All that is there now."""


def messages(receiver: Receiver, count: int, keys: int = 1, size: int = 0) -> list[Message]:
    """So many, numbered from 1, over so many keys in turn."""
    return [message(receiver.topic, number, f"key{number % keys}", size) for number in range(1, count + 1)]


def message(topic: str, number: int, key: str = "key0", size: int = 0) -> Message:
    body = b'{"number": %d}' % number
    return Message(f"id-{number}", topic, key, {"kind": "test"}, body.ljust(size))


def same(sent: Iterable[Message], received: Iterable[Received]) -> bool:
    """Whether just those arrived, each key's in their order."""
    one, other = _by_key(sent), _by_key(received)
    return one == other


def _by_key(events: Iterable[Message] | Iterable[Received]) -> dict[str, list[tuple[str, bytes]]]:
    found: dict[str, list[tuple[str, bytes]]] = {}
    for event in events:
        found.setdefault(event.key, []).append((event.id, event.body.strip()))
    return found


def kinds(deliveries: Iterable[Delivery]) -> list[str]:
    """`ok`, `Refused`, `final` or `Unsent`, in order."""
    return ["ok" if d is None else "final" if getattr(d, "final", False) else type(d).__name__ for d in deliveries]
