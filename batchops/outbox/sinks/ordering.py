"""Decides which messages may be sent now, so that those of one key arrive in order even if some are refused."""

from collections import deque
from collections.abc import Callable, Sequence, Set

from batchops.outbox.sinks import Delivery, Message, Unsent

HELD = Unsent("an earlier event of its key was not delivered")
NOT_TRIED = Unsent("not tried")
MOST_BYTES = 16_000_000
"""Bytes of message bodies that may be under way at a time. A larger body is sent alone."""

Together = Callable[[Message, Message], bool]
"""Whether a message may be sent before the one ahead of it in its key is acknowledged."""


def alone(_: Message, __: Message) -> bool:
    """Return False: one message of a key is under way at a time.

    This is for a destination that may refuse a message and accept the next one.
    """
    return False


def same_topic(one: Message, next_one: Message) -> bool:
    """Whether both messages have the same topic.

    This is for a destination that accepts the messages of one topic in order, and none after one that it refuses.
    """
    return one.topic == next_one.topic


class DeliveryOrder:
    """The messages of one call to `send`, and which of them may be sent now.

    A message is taken once those before it in its key are settled. One message of a key is under way at a time, or
    several that may go `together`. After a message that was not acknowledged, nothing more of its key is taken.
    `isolated` holds ids of messages: they are taken first, and as long as one is left, messages are taken one by one.
    Not safe for threads.
    """

    def __init__(
        self, messages: Sequence[Message], window: int, together: Together = alone, isolated: Set[str] = frozenset()
    ) -> None:
        self._messages = messages
        self._window = window
        self._together = together
        self._deliveries: list[Delivery] = [NOT_TRIED] * len(messages)
        self._waiting: dict[str, deque[int]] = {}
        for index, message in enumerate(messages):
            self._waiting.setdefault(message.key, deque()).append(index)
        self._isolated = {n for n, message in enumerate(messages) if message.id in isolated} if isolated else set()
        first = {messages[index].key: None for index in sorted(self._isolated)}
        self._ready = deque([*first, *(key for key in self._waiting if key not in first)])
        self._under_way: dict[int, None] = {}
        self._of_key = dict.fromkeys(self._waiting, 0)
        self._failed: set[str] = set()
        self._bytes = 0
        self.acknowledged = 0

    @property
    def done(self) -> bool:
        """Whether there is nothing under way and nothing left to take."""
        return not self._ready and not self._under_way

    @property
    def under_way(self) -> Sequence[int]:
        """Return the messages that were taken and are not settled, in the order in which they were taken."""
        return tuple(self._under_way)

    @property
    def one_by_one(self) -> bool:
        """Whether isolated messages are left: then one message is under way at a time, and a failure is its fault."""
        return bool(self._isolated)

    def take(self, most: int | None = None) -> list[int]:
        """Take the messages that may be sent now, up to the window; none if every key waits for an answer."""
        room = (1 if self._isolated else self._window) - len(self._under_way)
        room = room if most is None else min(room, most)
        taken: list[int] = []
        while self._ready and len(taken) < room and self._bytes < MOST_BYTES:
            taken.extend(self._stretch(self._ready.popleft(), room - len(taken)))
        for index in taken:
            self._under_way[index] = None
        return taken

    def _stretch(self, key: str, room: int) -> list[int]:
        messages, waiting = self._messages, self._waiting[key]
        stretch = [waiting.popleft()]
        self._bytes += len(messages[stretch[0]].body)
        while waiting and len(stretch) < room and self._bytes < MOST_BYTES:
            if not self._together(messages[stretch[-1]], messages[waiting[0]]):
                break
            stretch.append(waiting.popleft())
            self._bytes += len(messages[stretch[-1]].body)
        self._of_key[key] = len(stretch)
        return stretch

    def settle(self, index: int, delivery: Delivery) -> None:
        """Record what became of a message. A second call for the same message changes nothing."""
        if index not in self._under_way:
            return
        del self._under_way[index]
        message = self._messages[index]
        key = message.key
        self._bytes -= len(message.body)
        left = self._of_key[key] = self._of_key[key] - 1
        self._deliveries[index] = delivery
        if self._isolated:
            self._isolated.discard(index)
        if delivery is None:
            self.acknowledged += 1
        else:
            self._failed.add(key)
            self._isolated.difference_update(self._waiting[key])
        if not left and self._waiting[key] and key not in self._failed:
            # The key of an isolated message goes first: as long as one is left, messages are taken one by one.
            (self._ready.appendleft if self._isolated else self._ready.append)(key)

    def end(self, why: Delivery = NOT_TRIED) -> list[Delivery]:
        """Return a delivery for each message; `why` is the delivery of those that are still under way."""
        for index in self.under_way:
            self.settle(index, why)
        held: set[str] = set()
        for index, message in enumerate(self._messages):
            if message.key not in self._failed or self._deliveries[index] is None:
                continue
            if message.key in held:
                self._deliveries[index] = HELD
            held.add(message.key)
        return self._deliveries
