"""Which messages may go out now, so that those of one key arrive in order, whatever is refused on the way."""

from collections import deque
from collections.abc import Callable, Sequence, Set

from batchops.outbox.sinks import Delivery, Message, Unsent

HELD = Unsent("an earlier event of its key was not delivered")
NOT_TRIED = Unsent("not tried")
MOST_BYTES = 16_000_000
"""Of bodies under way; a larger one goes alone."""

Together = Callable[[Message, Message], bool]


def alone(_: Message, __: Message) -> bool:
    """For a destination that may refuse a message and take the next one: one of a key at a time."""
    return False


def same_topic(one: Message, next_one: Message) -> bool:
    """For a destination that takes messages of one topic in order and stops at the first that it does not take."""
    return one.topic == next_one.topic


class DeliveryOrder:
    """The messages of one `send`: taken when nothing before them in their key is open, settled one by one.

    Of a key one message is under way at a time, or a stretch of them that may go `together`. Of a key that had a
    message not acknowledged, nothing more is taken. `isolated` are ids: as long as there are some, everything goes
    one by one, and they come first. Not safe for threads.
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
        """Taken and not settled, in the order in which they were taken."""
        return tuple(self._under_way)

    @property
    def one_by_one(self) -> bool:
        """Whether isolated messages are left, so that what goes wrong now is the fault of the one under way."""
        return bool(self._isolated)

    def take(self, most: int | None = None) -> list[int]:
        """The messages that may go out now, up to the window; none where all keys wait for an answer."""
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
        """What became of a message; told again, it changes nothing."""
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
            # An isolated message's key goes first: as long as there are such, everything goes one by one.
            (self._ready.appendleft if self._isolated else self._ready.append)(key)

    def end(self, why: Delivery = NOT_TRIED) -> list[Delivery]:
        """A delivery per message; `why` is for those that are under way."""
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
