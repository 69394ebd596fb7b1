"""One batch of events over several connections, until each is answered or the time is up."""

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
"""After one of these nothing more is begun in the call."""

Post = Callable[[Message, float], HttpAnswer]
"""One request, answered within about so many seconds."""
Unfit = Callable[[Message], Refused | None]


class HttpBatch:
    """One call's events, and what was answered to them."""

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
        """Seconds for which the destination asked to be left alone."""

    def deliveries(self, place: str) -> list[Delivery]:
        """A delivery per event; SinkDownError where the answers say that no event is to blame."""
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
        """Daemons, not a pool: one that hangs in a trickling answer must not keep the process."""
        count = min(self._connections, len(self._messages))
        errors: list[BaseException] = []
        threads = Threads(errors.append, lambda _: None)
        workers = [threads.start("http", self._work) for _ in range(count)]
        for worker in workers:
            worker.join(max(0.0, self._end - time.monotonic()) + 1)
        if errors:
            raise errors[0]

    def _work(self) -> None:
        """The thread that finishes an event takes the next of its key, so that no thread waits for work."""
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
        """Whether it is time to stop: as many failures as connections, and nothing else."""
        return len(self._answers) >= self._connections and down("", self._answers.values()) is not None
