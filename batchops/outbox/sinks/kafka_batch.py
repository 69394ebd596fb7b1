"""The records that one producer sends at a time, and what its reports mean for each of them."""

import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import lru_cache, partial
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer

from batchops.outbox.sinks import Message

Headers = list[tuple[str, str | bytes | None]]

_FINAL = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD})
_TOPIC_ERRORS = frozenset({
    KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_EXCEPTION,
})  # fmt: skip
_TAKEN_BACK = frozenset({
    KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, KafkaError._FATAL, KafkaError._GAPLESS_GUARANTEE,
    KafkaError._INVALID_DIFFERENT_RECORD,
})  # fmt: skip


class FailureKind(Enum):
    """Why a record was not acknowledged."""

    REFUSED = "refused"
    """The record itself, or its topic, was refused."""
    ISOLATE = "isolate"
    """Its request was refused, and held other records too."""
    TAKEN_BACK = "taken back"
    """The client withdrew it, because an earlier record was refused."""
    LOST = "lost"
    """The cluster failed or did not answer."""


class DeliveryFailure(NamedTuple):
    """Why a record was not acknowledged."""

    kind: FailureKind
    reason: str
    final: bool = False
    """Whether another attempt would only be refused again."""


class ProducerBatch:
    """Gives records to a producer, and waits until it is known for each whether it was acknowledged.

    The client reports failures only; reports of successes would double its cost. So a record is acknowledged if it was
    produced, has left the client's queue, and has no report.
    """

    def __init__(self, producer: Producer, messages: Sequence[Message], seconds: float, *, alone: bool) -> None:
        """The batch ends after `seconds` without progress. `alone`: whether each record is a request of its own."""
        self.reports: dict[int, DeliveryFailure] = {}
        self.failed: set[str] = set()
        """Keys with a record that was not acknowledged."""
        self.ended = False
        """Whether the producer can no longer be used, because it cannot continue in order."""
        self._producer = producer
        self._messages = messages
        self._seconds = seconds
        self._alone = alone
        self._produced: list[int] = []
        self._headers: dict[int, Headers] = {}
        """Headers in the client's form, by the identity of a message's headers: many messages share one mapping."""

    def produce(self, indexes: Sequence[int], topic: str) -> Sequence[int]:
        """Produce records up to one that the client does not accept, and return those tried, that one included.

        Waits while the client's queue is full.
        """
        produce, reported, messages = self._producer.produce, self._reported, self._messages
        named, written = None, None
        for n, index in enumerate(indexes):
            message = messages[index]
            if message.headers is not named:
                named = message.headers
                written = self._headers.get(id(named)) or self._client_headers(named)
            if written is None:
                why = "the name of a header holds a NUL"
                self._settle(index, DeliveryFailure(FailureKind.REFUSED, why, final=True))
                return self._noted(indexes[: n + 1])
            body = None if message.null else message.body  # a tombstone: compaction deletes its key
            headers, report = [("id", message.id.encode()), *written], partial(reported, index)
            try:
                produce(topic, body, message.key, headers=headers, on_delivery=report)
            except BufferError:
                again = partial(produce, topic, body, message.key, headers=headers, on_delivery=report)
                if not self._add_when_room(index, again):
                    return self._noted(indexes[: n + 1])
            except KafkaException as error:
                self._settle(index, _report(error.args[0], alone=True))
                return self._noted(indexes[: n + 1])
        return self._noted(indexes)

    def _noted(self, indexes: Sequence[int]) -> Sequence[int]:
        self._produced += indexes
        return indexes

    def _add_when_room(self, index: int, add: Callable[[], None]) -> bool:
        """Wait for room in the client's queue and add the record; whether that worked, and nothing failed meanwhile."""
        while self._progressed():
            try:
                add()
            except BufferError:
                continue
            except KafkaException as error:
                self._settle(index, _report(error.args[0], alone=True))
            return not (self.failed or self.ended)
        self._settle(index, self._silence)
        return False

    def _client_headers(self, headers: Mapping[str, str]) -> Headers | None:
        """Return the headers in the client's form; None if it cannot send them."""
        if any("\0" in name for name in headers):
            return None
        # As bytes: the client ends a text at a NUL.
        written: Headers = [(name, value.encode()) for name, value in headers.items()]
        self._headers[id(headers)] = written
        return written

    def wait(self) -> None:
        """Wait until each record is acknowledged or reported. If progress stops for too long, the rest are lost."""
        while len(self._producer):
            if self._progressed():
                continue
            self.ended = True
            for index in self._produced:
                self.reports.setdefault(index, self._silence)
            return

    @property
    def _silence(self) -> DeliveryFailure:
        return DeliveryFailure(FailureKind.LOST, f"no acknowledgement in {self._seconds:g} s")

    def _progressed(self) -> bool:
        """Poll until the client's queue is shorter; False if that takes too long."""
        before, end = len(self._producer), time.monotonic() + self._seconds
        while len(self._producer) >= before:
            if time.monotonic() >= end:
                return False
            self._poll(0.5)
        return True

    def _poll(self, seconds: float) -> None:
        """Receive reports. `flush` would not do: it calls back further after an error that it is going to raise."""
        try:
            self._producer.poll(seconds)
        except KafkaException:
            self.ended = True  # a record was refused, and no later one is delivered
        if self.ended:
            self._producer.purge(in_flight=False, blocking=False)  # records in flight may be in its queue again

    def _reported(self, index: int, error: KafkaError | None, _: object) -> None:
        if error is not None:
            self._settle(index, _report(error, alone=self._alone))

    def _settle(self, index: int, report: DeliveryFailure) -> None:
        self.reports[index] = report
        self.failed.add(self._messages[index].key)
        self.ended = self.ended or report.kind is FailureKind.LOST


def _report(error: KafkaError, *, alone: bool) -> DeliveryFailure:
    return _known(error.code(), f"{error.name()}: {error.str()}"[:300], alone)


@lru_cache(100)
def _known(code: int, text: str, alone: bool) -> DeliveryFailure:
    if code in _TAKEN_BACK:
        return DeliveryFailure(FailureKind.TAKEN_BACK, "withdrawn, as an earlier record was not acknowledged")
    if code in _TOPIC_ERRORS:
        return DeliveryFailure(FailureKind.REFUSED, text)
    if code in _FINAL:
        return DeliveryFailure(FailureKind.REFUSED if alone else FailureKind.ISOLATE, text, final=True)
    return DeliveryFailure(FailureKind.LOST, text)
