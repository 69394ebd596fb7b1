"""Sends messages to the destination in a thread of its own, so that the database can work meanwhile."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from batchops.errors import BatchopsError, CutShortError
from batchops.events import Emit, Warned
from batchops.outbox.sinks import Delivery, Message, Sink, WarnsOfLoss
from batchops.runtime.threads import Threads

BatchResult = Sequence[Delivery] | BaseException
TOPICS = 20
"""The most topics for which the sink checks whether acknowledged messages may be lost."""
ASKING = 2.0
"""Seconds for all these checks. After that no further topic is checked."""


class DeliveryWorker:
    """Delivers one batch at a time: `send` starts a delivery, `wait` returns the result. Emits the sink's warnings."""

    def __init__(self, sink: Sink, stopped: Callable[[], bool], emit: Emit, threads: Threads) -> None:
        """`stopped`: whether to give up waiting for a delivery that does not end."""
        self._sink = sink
        self._stopped = stopped
        self._emit = emit
        self._topics: set[str] = set()
        self._loss_warnings: set[str] = set()
        self._asked = 0.0
        self._batches: queue.SimpleQueue[Sequence[Message] | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[BatchResult] = queue.SimpleQueue()
        self._threads = threads
        self._thread: threading.Thread | None = None

    def send(self, messages: Sequence[Message]) -> None:
        """Start the delivery of a batch."""
        if self._thread is None:
            self._thread = self._threads.start("delivery", self._run)
        self._batches.put(messages)

    def wait(self) -> Sequence[Delivery]:
        """Wait for the delivery, and return what became of each message; raise what the sink raised."""
        while True:
            try:
                answer = self._results.get(timeout=0.2)
            except queue.Empty:
                if self._stopped():
                    late = "The destination did not answer within the grace period; nothing more was marked."
                    raise CutShortError(late) from None
                if self._thread is not None and not self._thread.is_alive() and self._results.empty():
                    raise BatchopsError("The thread that delivers has ended; nothing more was marked.") from None
                continue
            if isinstance(answer, BaseException):
                raise answer
            return answer

    def close(self) -> None:
        """Close the sink after the current delivery."""
        if self._thread is None:
            self._sink.close()
            return
        self._batches.put(None)
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while (messages := self._batches.get()) is not None:
            try:
                self._sink.open()
                self._results.put(self._sink.send(messages) if messages else [])
            except BaseException as error:  # noqa: BLE001  raised again in the thread that waits
                self._results.put(error)
            else:
                self._threads.survive("look at the destination", partial(self._check_loss, messages))
        self._sink.close()

    def _check_loss(self, messages: Sequence[Message]) -> None:
        """Emit a warning for new topics whose acknowledged messages may be lost."""
        if not isinstance(self._sink, WarnsOfLoss) or len(self._topics) >= TOPICS:
            return
        for topic in sorted({message.topic for message in messages} - self._topics)[: TOPICS - len(self._topics)]:
            if self._asked > ASKING:
                return
            begun = time.monotonic()
            loss_warning = self._sink.loss_warning(topic)
            self._asked += time.monotonic() - begun
            self._topics.add(topic)
            if loss_warning and loss_warning not in self._loss_warnings:
                self._loss_warnings.add(loss_warning)
                self._emit(Warned(loss_warning))
