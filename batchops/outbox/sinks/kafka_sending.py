"""Tracks the messages of one call to `send` over one or more producers: which are left, and what became of each."""

from collections.abc import Sequence

from batchops.outbox.sinks import Delivery, Message, Refused, Unsent
from batchops.outbox.sinks.kafka_batch import FailureKind, ProducerBatch
from batchops.outbox.sinks.ordering import HELD


class Sending:
    """The messages of one call to `send`, which may need several producers."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.left: Sequence[int] = range(len(messages))
        """The messages whose delivery is not known yet."""
        self.isolated: set[int] = set()
        """Messages of a refused request. Nothing else is sent until each of them was sent alone."""
        self.guilty = False
        """Whether one of the isolated messages was refused when it was alone."""
        self.together = 0
        """Bytes of the bodies of the isolated messages, as they were sent together."""
        self._deliveries: list[Delivery] = [None] * len(messages)
        self._failed: set[str] = set()

    @property
    def next(self) -> Sequence[int]:
        """Return the messages to send now: all that are left, or the isolated ones and earlier ones of their keys."""
        if not self.isolated:
            return self.left
        last, keys = max(self.isolated), {self.messages[index].key for index in self.isolated}
        return [index for index in self.left if index <= last and self.messages[index].key in keys]

    def settle(self, produced: Sequence[int], given: ProducerBatch) -> None:
        """Record the outcome of one producer's batch. A message that was produced and has no report is acknowledged."""
        alone, again, down, before = bool(self.isolated), set[int](), "", len(self.left)
        if not (alone or given.reports or given.ended) and len(produced) == before:
            self.left = ()
            return
        self.isolated.difference_update(produced)
        for index, (kind, reason, final) in given.reports.items():
            if kind is FailureKind.REFUSED:
                self.guilty |= alone
                self.refuse(index, Refused(reason, final=final))
            elif kind is FailureKind.LOST:
                down = down or reason
            again.add(index)
            if kind is FailureKind.ISOLATE or (kind is FailureKind.TAKEN_BACK and alone):
                self.isolated.add(index)
        done = set(produced) - again
        self._keep([index for index in self.left if index not in done])
        if not alone:
            self.guilty, self.together = False, sum(len(self.messages[index].body) for index in self.isolated)
        if down or (given.ended and len(self.left) == before and (alone or not self.isolated)):
            self.give_up(down or "the producer ended without a reason")

    def refuse(self, index: int, why: Refused) -> None:
        """Record a refused message. Later messages of its key are not sent."""
        self._deliveries[index] = why
        self._failed.add(self.messages[index].key)

    def give_up(self, reason: str) -> None:
        """End the sending: every message that is left is unsent for this reason."""
        for index in self.left:
            self._deliveries[index] = Unsent(reason)
        self.left = ()

    def _keep(self, left: Sequence[int]) -> None:
        for index in left:
            if self.messages[index].key in self._failed and self._deliveries[index] is None:
                self._deliveries[index] = HELD
        self.left = [index for index in left if self._deliveries[index] is None]
        self.isolated.intersection_update(self.left)

    def end(self) -> Sequence[Delivery]:
        """Return a delivery for each message."""
        return self._deliveries
