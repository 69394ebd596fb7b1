"""The step of a replay: delivers sent events once more, and records nothing."""

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from batchops.db.types import KeyValue
from batchops.db.value_formats import as_text
from batchops.events import Rejected
from batchops.outbox.circuit_breaker import CircuitBreaker
from batchops.outbox.delivery import DeliveryWorker
from batchops.outbox.mapping import NOTHING, EventBatch
from batchops.outbox.sent_events import SentEvents
from batchops.outbox.sinks import AccessRefusedError, Message, Refused, SinkDownError, Unsent
from batchops.runtime.batch_size import Size
from batchops.runtime.outcome import Outcome


class ReplayStep:
    """Delivers the events in their order. An event that was not acknowledged is sent again before any later one."""

    def __init__(self, sent: SentEvents, delivery: DeliveryWorker, circuit_breaker: CircuitBreaker) -> None:
        self._sent = sent
        self._delivery = delivery
        self._circuit_breaker = circuit_breaker
        self._after: KeyValue | None = None
        self._left = NOTHING

    def __call__(self, size: Size) -> Outcome | None:
        """Deliver one batch; return None after the last event."""
        if not self._left:
            self._left = self._sent.read(size.rows, self._after)
            if not self._left:
                return None
            self._after = self._left.last
        batch = self._left
        whole = batch.at([n for n, message in enumerate(batch.messages) if isinstance(message, Message)])
        self._delivery.send(cast("Sequence[Message]", whole.messages))
        try:
            results = self._delivery.wait()
        except AccessRefusedError:
            raise  # waiting does not help
        except SinkDownError as error:
            self._circuit_breaker.trip_by_destination(error.message)
            return Outcome(rows=0, read=0)
        rejected = [*_rejected(batch, batch.messages), *_rejected(whole, results)]
        acknowledged = sum(one is None for one in results)
        self._left = whole.at([n for n, one in enumerate(results) if isinstance(one, Unsent)])
        if self._left and not acknowledged and not rejected:
            self._circuit_breaker.trip("it acknowledged nothing")
        else:
            self._circuit_breaker.close()
        return Outcome(rows=acknowledged, read=acknowledged + len(rejected), rejected=tuple(rejected))


def _rejected(batch: EventBatch, deliveries: Iterable[object]) -> Iterator[Rejected]:
    """Yield the refused events."""
    for id_, aggregate, one in zip(batch.ids, batch.aggregates, deliveries, strict=True):
        if isinstance(one, Refused):
            yield Rejected(f"{aggregate} event {as_text(id_)}", one.reason)
