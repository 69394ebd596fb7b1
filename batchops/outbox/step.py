"""The step of a relay: reads, delivers and marks events. It reads the next events during a delivery."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from batchops.db.value_formats import as_text
from batchops.errors import TransientError
from batchops.events import Rejected
from batchops.outbox.after_delivery import DeliveryRecord, DeliveryRecorder
from batchops.outbox.circuit_breaker import CircuitBreaker
from batchops.outbox.delivery import DeliveryWorker
from batchops.outbox.failures import FailurePolicy, RefusedEvent, RefusedEvents, State
from batchops.outbox.mapping import NOTHING, EventBatch
from batchops.outbox.shards import Shards
from batchops.outbox.sinks import AccessRefusedError, Delivery, Message, Refused, SinkDownError, Unsent
from batchops.outbox.source import EventSource
from batchops.runtime.batch_size import Size
from batchops.runtime.bisect import FEW
from batchops.runtime.counters import Counters
from batchops.runtime.outcome import Outcome

Begin = Callable[[Callable[[], EventBatch]], Callable[[], EventBatch]]
"""Starts to read, and returns a function that waits for the result.

On a database that does one thing at a time, that function starts the reading itself.
"""


@dataclass(frozen=True)
class InFlightBatch:
    """A batch in flight: the events that have a message are with the delivery worker."""

    events: EventBatch
    held: frozenset[str]
    """Aggregates with an event that no message can be built from. None of their events is sent."""

    def results(self, delivered: Sequence[Delivery]) -> Sequence[Delivery]:
        """Return a delivery for each event."""
        if not self.held:
            return delivered
        answers = iter(delivered)
        bad: set[str] = set()
        results: list[Delivery] = []
        for aggregate, message in zip(self.events.aggregates, self.events.messages, strict=True):
            if aggregate not in self.held:
                results.append(next(answers))
            elif aggregate in bad or not isinstance(message, Refused):
                results.append(Unsent("an earlier event of its aggregate was not sent"))
            else:
                bad.add(aggregate)
                results.append(message)
        return results

    def behind(self, results: Sequence[Delivery]) -> frozenset[str]:
        """Return the aggregates with an event that was not delivered."""
        if not any(results):
            return frozenset()
        return frozenset(a for a, one in zip(self.events.aggregates, results, strict=True) if one)

    @property
    def messages(self) -> Sequence[Message]:
        """Return the messages to send."""
        # Every event of the other aggregates has a message.
        return cast("Sequence[Message]", self.events.but(self.held).messages)


class RelayStep:
    """Delivers and marks events. After an error, the next call continues where the error happened.

    While one batch is with the destination, the step marks the batch before it and reads the batch after it.
    """

    def __init__(
        self, source: EventSource, delivery: DeliveryWorker, recorder: DeliveryRecorder, failures: RefusedEvents,
        policy: FailurePolicy, circuit_breaker: CircuitBreaker, shards: Shards, counters: Counters, *,
        ahead: Callable[[], bool], begin: Begin,
    ) -> None:  # fmt: skip
        """`ahead`: whether the next batch may be sent before this one is recorded."""
        self._source = source
        self._delivery = delivery
        self._recorder = recorder
        self._failures = failures
        self._policy = policy
        self._circuit_breaker = circuit_breaker
        self._shards = shards
        self._counters = counters
        self._ahead = ahead
        self._begin = begin
        self._in_flight: InFlightBatch | None = None
        self._reading: Callable[[], EventBatch] | None = None
        self._held_back: frozenset[str] = frozenset()
        """Aggregates with an event that was not delivered, which the reading in progress may not know."""
        self._unrecorded: tuple[DeliveryRecord, int] | None = None
        self._rehearsed = False

    def __call__(self, size: Size) -> Outcome | None:
        """Deliver and mark one batch; return None if there is nothing to send now."""
        if self._shards.due() <= 0:
            self._shards.look()
        if self._shards.changing and self.at_rest and self._shards.change():
            self._source.look_at_everything()
        return self._batch(size) if self._shards.mine else None

    @property
    def at_rest(self) -> bool:
        """Whether all sent events are marked, and nothing is being read."""
        return self._in_flight is None and self._unrecorded is None and self._reading is None

    def _batch(self, size: Size) -> Outcome | None:
        if self._unrecorded is None:
            if self._in_flight is None and not self._first(size):
                return None
            self._receive(size)
        if self._unrecorded is None:
            return Outcome(rows=0, read=0)
        record, read = self._unrecorded
        record = self._recorder(record)
        self._unrecorded = None
        return self._outcome(record, read)

    def finish(self) -> Outcome | None:
        """Wait for the batch in flight, and mark it; None if there is none."""
        if self._in_flight is None and self._unrecorded is None:
            return None
        self._ahead = lambda: False
        return self._batch(Size(rows=1, read=1))

    def _first(self, size: Size) -> bool:
        self._held_back = frozenset()
        events = self._source.read(1 if self._circuit_breaker.probing else size.rows)
        if events and not self._rehearsed:
            self._recorder.rehearse(events.ids[:FEW])
            self._rehearsed = True
        return self._send(events, size, NOTHING)

    def _send(self, events: EventBatch, size: Size, unrecorded: EventBatch) -> bool:
        """Send the events and begin to read the next ones; `unrecorded` is not marked yet, and not read again."""
        if not events:
            return False
        if not self._shards.certain:
            self._shards.renew()  # after a long stop, another relay may have sent these events
        self._in_flight = InFlightBatch(events, events.unfit)
        self._delivery.send(self._in_flight.messages)
        if self._may_go_ahead():
            away = [*unrecorded.ids, *events.ids]
            last = events.front
            assert last is not None
            self._reading = self._begin(lambda: self._source.read_on(size.rows, away, last))
        return True

    def _receive(self, size: Size) -> None:
        """Wait for the batch in flight, and send the next one at once, so that the destination does not wait."""
        in_flight = self._in_flight
        assert in_flight is not None
        waiting = self._events_read()
        self._in_flight = None
        try:
            results = in_flight.results(self._delivery.wait())
        except AccessRefusedError:
            raise  # waiting does not help
        except SinkDownError as error:
            self._circuit_breaker.trip_by_destination(error.message)
            return
        if self._circuit_breaker.probing and all(isinstance(one, Refused) and not one.final for one in results):
            self._circuit_breaker.inconclusive()  # one event alone does not show what is at fault: no attempt counts
            return
        self._unrecorded = self._record_of(in_flight, results), len(in_flight.events)
        behind = in_flight.behind(results)
        kept, self._held_back = behind | self._held_back, behind
        if self._may_go_ahead():
            self._send(waiting.but(kept), size, in_flight.events)

    def _may_go_ahead(self) -> bool:
        return self._ahead() and not self._circuit_breaker.probing and not self._shards.changing

    def _events_read(self) -> EventBatch:
        """Return the events that were read meanwhile; none if reading failed, to read them again after this batch."""
        reading, self._reading = self._reading, None
        with suppress(TransientError):
            return reading() if reading is not None else NOTHING
        return NOTHING

    def _record_of(self, in_flight: InFlightBatch, results: Sequence[Delivery]) -> DeliveryRecord:
        if not any(results):
            self._circuit_breaker.close()
            return DeliveryRecord(in_flight.events.ids, (), in_flight.events.aggregates)
        sent, aggregates, failures, unsent = [], list[str](), list[RefusedEvent](), list[Unsent]()
        for id_, aggregate, result in zip(in_flight.events.ids, in_flight.events.aggregates, results, strict=True):
            match result:
                case None:
                    sent.append(id_)
                    aggregates.append(aggregate)
                case Refused():
                    event = as_text(id_)
                    failures.append(self._policy(event, aggregate, result, self._failures.attempts(event)))
                case Unsent():
                    unsent.append(result)
        self._counters.add(failed=len(failures), unsent=len(unsent))
        for one in failures:
            self._counters.because(one.reason, [f"event {one.event} of {one.aggregate}"])
        if unsent and not sent and not failures:
            self._circuit_breaker.trip(unsent[0].reason)
        else:
            self._circuit_breaker.close()
        return DeliveryRecord(sent, failures, aggregates)

    def _outcome(self, record: DeliveryRecord, read: int) -> Outcome:
        given_up = [failure for failure in record.failures if failure.state is not State.WAITING]
        dead = sum(failure.state is State.DEAD_LETTER for failure in given_up)
        self._counters.add(dead_letters=dead, held=len(given_up) - dead)
        rejected = tuple(Rejected(f"{one.aggregate} event {one.event}", one.reason) for one in given_up)
        return Outcome(rows=len(record.sent), read=read, rejected=rejected)
