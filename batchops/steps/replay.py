"""One step of a replay: sent events delivered once more, and nothing written down."""

from collections.abc import Sequence

from batchops.db.family import KeyValue
from batchops.events import Rejected
from batchops.outboxes.again import Sent
from batchops.outboxes.circuit import Circuit
from batchops.outboxes.compose import Event
from batchops.outboxes.courier import Courier
from batchops.sinks import Message, Refused, SinkDownError
from batchops.steps.outcome import Outcome
from batchops.walks.part import Size


class ReplayStep:
    """Follows the events by their ids; what was not acknowledged goes again before anything later."""

    def __init__(self, sent: Sent, courier: Courier, circuit: Circuit) -> None:
        self._sent = sent
        self._courier = courier
        self._circuit = circuit
        self._after: KeyValue | None = None
        self._left: Sequence[Event] = ()

    def __call__(self, size: Size) -> Outcome | None:
        """One batch; None where the last event has gone."""
        if not self._left:
            self._left = self._sent.read(size.rows, self._after)
            if not self._left:
                return None
            self._after = self._left[-1].key
        events = self._left
        whole = [event for event in events if isinstance(event.message, Message)]
        rejected = [self._rejected(e, e.message) for e in events if isinstance(e.message, Refused)]
        self._courier.go([event.message for event in whole if isinstance(event.message, Message)])
        try:
            results = list(zip(whole, self._courier.wait(), strict=True))
        except SinkDownError as error:
            self._circuit.trip(error.message)
            return Outcome(rows=0, read=0)
        rejected += [self._rejected(event, one) for event, one in results if isinstance(one, Refused)]
        acknowledged = sum(one is None for _, one in results)
        self._left = [event for event, one in results if one is not None and not isinstance(one, Refused)]
        if self._left and not acknowledged and not rejected:
            self._circuit.trip("it acknowledged nothing")
        else:
            self._circuit.close()
        return Outcome(rows=acknowledged, read=acknowledged + len(rejected), rejected=tuple(rejected))

    @staticmethod
    def _rejected(event: Event, refused: Refused) -> Rejected:
        return Rejected(f"{event.aggregate} event {event.key[0]}", refused.reason)
