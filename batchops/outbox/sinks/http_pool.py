"""Sends one batch of events over several connections, until each is answered or the time is up."""

import threading
import time
from collections.abc import Callable, Sequence

from batchops.outbox.sinks import Delivery, Message, Refused
from batchops.outbox.sinks.http_answers import DeliveryFault, HttpAnswer, down, lenient
from batchops.outbox.sinks.ordering import DeliveryOrder
from batchops.runtime.threads import Threads

LATE = HttpAnswer(DeliveryFault.EITHER, "no answer in time")
LONGEST_QUIET = 3_600.0
_ENDS = (DeliveryFault.LIMIT, DeliveryFault.DESTINATION)
"""After an answer with one of these faults, the call sends no further event."""

Post = Callable[[Message, float], HttpAnswer]
"""Sends one message, and returns the answer within about the given number of seconds."""
Unfit = Callable[[Message], Refused | None]


class HttpBatch:
    """The events of one call to `send`, and the answers to them."""

    def __init__(self, messages: Sequence[Message], post: Post, unfit: Unfit, connections: int, seconds: float) -> None:
        self._messages = messages
        self._post = post
        self._unfit = unfit
        self._connections = connections
        self._end = time.monotonic() + seconds
        self._order = DeliveryOrder(messages, connections)
        self._answers: dict[int, HttpAnswer] = {}
        self._over = False
        self._lock = threading.Lock()
        self.quiet = 0.0
        """Seconds for which the destination asked to get no requests."""

    def deliveries(self, place: str) -> list[Delivery]:
        """Send the events, and return a delivery for each; raise SinkDownError if the answers blame no event."""
        self._run()
        with self._lock:
            self._over = True
            for index in self._order.under_way:
                self._settle(index, LATE)
            deliveries = self._order.end()
            error = down(place, self._answers.values())
            asked = [a.after or 0.0 for a in self._answers.values() if error or a.fault is DeliveryFault.LIMIT]
            self.quiet = min(max(asked, default=0.0), LONGEST_QUIET)
        if error is not None:
            raise error
        if len(self._answers) == 1:
            ((index, answer),) = self._answers.items()
            deliveries[index] = lenient(answer)
        return deliveries

    def _run(self) -> None:
        """Run the threads that send, until they end or the time is up.

        They are daemon threads, not a pool: one that hangs in an answer that trickles in must not keep the process
        alive.
        """
        count = min(self._connections, len(self._messages))
        errors: list[BaseException] = []
        threads = Threads(errors.append, lambda _: None)
        workers = [threads.start("http", self._work) for _ in range(count)]
        for worker in workers:
            worker.join(max(0.0, self._end - time.monotonic()) + 1)
        if errors:
            raise errors[0]

    def _work(self) -> None:
        """Send events until none may be sent now.

        The thread that settles an event takes the next one of its key, so no thread needs to wait for work.
        """
        while (index := self._next()) is not None:
            answer = self._post(self._messages[index], max(0.1, self._end - time.monotonic()))
            with self._lock:
                self._settle(index, answer)

    def _next(self) -> int | None:
        with self._lock:
            while not self._over and time.monotonic() < self._end:
                taken = self._order.take(1)
                if not taken:
                    return None
                unfit = self._unfit(self._messages[taken[0]])
                if unfit is None:
                    return taken[0]
                self._order.settle(taken[0], unfit)
            return None

    def _settle(self, index: int, answer: HttpAnswer) -> None:
        if index in self._answers or index not in self._order.under_way:
            return
        self._answers[index] = answer
        self._order.settle(index, answer.delivery)
        self._over = self._over or answer.fault in _ENDS or self._all_fail()

    def _all_fail(self) -> bool:
        """Whether to stop early: there are at least as many answers as connections, and all blame the destination."""
        return len(self._answers) >= self._connections and down("", self._answers.values()) is not None
