"""One step of a relay: read, deliver, mark; the next events are read while a batch is with the destination."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from batchops.errors import TransientError
from batchops.events import Rejected
from batchops.outboxes.circuit import Circuit
from batchops.outboxes.compose import Event
from batchops.outboxes.courier import Courier
from batchops.outboxes.failures import Failure, Failures, State
from batchops.outboxes.lowwater import number
from batchops.outboxes.policy import Policy
from batchops.outboxes.settle import Settled, Settling
from batchops.outboxes.slots import Slots
from batchops.outboxes.source import Source
from batchops.queues.score import Score
from batchops.sinks import Delivery, Message, Refused, SinkDownError, Unsent
from batchops.steps.outcome import Outcome
from batchops.walks.part import Size

Begin = Callable[[Callable[[], Sequence[Event]]], Callable[[], Sequence[Event]]]
"""Begins to read, and gives what waits for it; where a database does one thing at a time, it only begins then."""


@dataclass(frozen=True)
class Flight:
    """Events on their way: those of which there is a message are with the courier."""

    events: Sequence[Event]
    held: frozenset[str]
    """Aggregates of which nothing goes out, as no message can be made of their next event."""

    def results(self, delivered: Sequence[Delivery]) -> list[Delivery]:
        """A delivery per event."""
        answers = iter(delivered)
        bad: set[str] = set()
        results: list[Delivery] = []
        for event in self.events:
            if event.aggregate not in self.held:
                results.append(next(answers))
            elif event.aggregate in bad or not isinstance(event.message, Refused):
                results.append(Unsent("an earlier event of its aggregate was not sent"))
            else:
                bad.add(event.aggregate)
                results.append(event.message)
        return results

    @property
    def messages(self) -> list[Message]:
        """What goes out."""
        return [e.message for e in self.events if e.aggregate not in self.held and isinstance(e.message, Message)]


class RelayStep:
    """Events delivered and marked. Called again after an error, it goes on where that happened.

    While a batch is with the destination the one before it is marked and the one after it is read.
    """

    def __init__(
        self, source: Source, courier: Courier, settling: Settling, failures: Failures, policy: Policy,
        circuit: Circuit, slots: Slots, score: Score, *, ahead: Callable[[], bool], begin: Begin,
    ) -> None:  # fmt: skip
        """`ahead`: whether a next batch may be sent before this one is accounted for."""
        self._source = source
        self._courier = courier
        self._settling = settling
        self._failures = failures
        self._policy = policy
        self._circuit = circuit
        self._slots = slots
        self._score = score
        self._ahead = ahead
        self._begin = begin
        self._flight: Flight | None = None
        self._reading: Callable[[], Sequence[Event]] | None = None
        self._behind: frozenset[str] = frozenset()
        """Aggregates whose last event was not sent, as far as what is being read does not know it yet."""
        self._unsettled: tuple[Settled, int] | None = None

    def __call__(self, size: Size) -> Outcome | None:
        """One batch; None where nothing is to be sent now."""
        if self._unsettled is None:
            if self._flight is None and not self._first(size):
                return None
            self._land(size)
        if self._unsettled is None:
            return Outcome(rows=0, read=0)
        settled, read = self._unsettled
        self._settling(settled)
        self._unsettled = None
        return self._outcome(settled, read)

    def finish(self) -> Outcome | None:
        """Wait for what is still on its way, and mark it; None where nothing was."""
        if self._flight is None and self._unsettled is None:
            return None
        self._ahead = lambda: False
        return self(Size(rows=1, read=1))

    def _first(self, size: Size) -> bool:
        self._behind = frozenset()
        return self._depart(self._source.read(1 if self._circuit.probing else size.rows), size, ())

    def _depart(self, events: Sequence[Event], size: Size, settling: Sequence[Event]) -> bool:
        """Send them off and begin to read what comes after; `settling` is not marked yet, and not read again."""
        if not events:
            return False
        if not self._slots.certain():
            self._slots.renew()  # a process that was stopped for long must not send what another has sent by now
        bad = frozenset(event.aggregate for event in events if isinstance(event.message, Refused))
        self._flight = Flight(events, bad)
        self._courier.go(self._flight.messages)
        if self._may_go_ahead():
            away = {event.key for event in (*settling, *events)}
            last = events[-1].key if not settling else max(settling[-1].key, events[-1].key, key=number)
            self._reading = self._begin(lambda: self._source.read_on(size.rows, away, last))
        return True

    def _land(self, size: Size) -> None:
        """Wait for the flight; the next one leaves at once, so that the destination need not wait for the database."""
        flight = self._flight
        assert flight is not None
        waiting = self._read()
        self._flight = None
        try:
            results = flight.results(self._courier.wait())
        except SinkDownError as error:
            self._circuit.trip(error.message)
            return
        self._unsettled = self._sorted(flight, results), len(flight.events)
        behind = frozenset(e.aggregate for e, one in zip(flight.events, results, strict=True) if one is not None)
        kept, self._behind = behind | self._behind, behind
        if self._may_go_ahead():
            free = [event for event in waiting if event.aggregate not in kept] if kept else waiting
            self._depart(free, size, flight.events)

    def _may_go_ahead(self) -> bool:
        return self._ahead() and not self._circuit.probing

    def _read(self) -> Sequence[Event]:
        """What has been read meanwhile; where that failed it is read again once this flight is settled."""
        reading, self._reading = self._reading, None
        with suppress(TransientError):
            return reading() if reading is not None else ()
        return ()

    def _sorted(self, flight: Flight, results: Sequence[Delivery]) -> Settled:
        sent, failures, unsent = [], list[Failure](), list[Unsent]()
        for event, result in zip(flight.events, results, strict=True):
            match result:
                case None:
                    sent.append(event.key)
                case Refused():
                    before = self._failures.attempts(str(event.key[0]))
                    failures.append(self._policy(event, result, before))
                case Unsent():
                    unsent.append(result)
        self._score.add(failed=len(failures), unsent=len(unsent))
        if unsent and not sent and not failures:
            self._circuit.trip(unsent[0].reason)
        else:
            self._circuit.close()
        return Settled(sent, failures)

    def _outcome(self, settled: Settled, read: int) -> Outcome:
        given_up = [failure for failure in settled.failures if failure.state is not State.WAITING]
        dead = sum(failure.state is State.DEAD for failure in given_up)
        self._score.add(dead=dead, parked=len(given_up) - dead)
        rejected = tuple(Rejected(f"{one.aggregate} event {one.event}", one.reason) for one in given_up)
        return Outcome(rows=len(settled.sent), read=read, rejected=rejected)
