"""The messages of one call to send, over the producers that it takes: what is left, and what became of each."""

from collections.abc import Sequence

from batchops.outbox.sinks import Delivery, Message, Refused, Unsent
from batchops.outbox.sinks.kafka_batch import FailureKind, ProducerBatch
from batchops.outbox.sinks.ordering import HELD


class Sending:
    """The messages of one `send`, over the producers that it takes."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.left: Sequence[int] = range(len(messages))
        """Those whose outcome is not known yet."""
        self.isolated: set[int] = set()
        """Those that came in a request that was refused: until each was alone, nothing else is sent."""
        self.guilty = False
        """Whether one of them was refused alone."""
        self.together = 0
        """Bytes of the isolated messages' bodies, when they came together."""
        self._deliveries: list[Delivery] = [None] * len(messages)
        self._failed: set[str] = set()

    @property
    def next(self) -> Sequence[int]:
        """What to send now: everything, or the isolated messages with what comes before them in their keys."""
        if not self.isolated:
            return self.left
        last, keys = max(self.isolated), {self.messages[index].key for index in self.isolated}
        return [index for index in self.left if index <= last and self.messages[index].key in keys]

    def settle(self, produced: Sequence[int], given: ProducerBatch) -> None:
        """After a round: what was produced and has no report is acknowledged."""
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
        """One that was refused: nothing of its key is sent any more."""
        self._deliveries[index] = why
        self._failed.add(self.messages[index].key)

    def give_up(self, reason: str) -> None:
        """Nothing can be sent any more."""
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
        """A delivery per message."""
        return self._deliveries
