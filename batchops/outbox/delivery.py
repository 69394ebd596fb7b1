"""Takes messages to the destination in a thread of its own, so that the database can be asked meanwhile."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from batchops.errors import BatchopsError, CutShortError
from batchops.events import Emit, Warned
from batchops.outbox.sinks import Cautious, Delivery, Message, Sink
from batchops.runtime.threads import Threads

Answer = Sequence[Delivery] | BaseException
TOPICS = 20
"""Of so many it is asked whether they keep what they acknowledge."""
ASKING = 2.0
"""Seconds for that in all: a destination that does not say is not asked again."""


class DeliveryWorker:
    """Delivers one batch at a time: `send`, then `wait` for the result. Emits the sink's warnings."""

    def __init__(self, sink: Sink, stopped: Callable[[], bool], emit: Emit, threads: Threads) -> None:
        """`stopped`: whether to give up waiting for a delivery that does not end."""
        self._sink = sink
        self._stopped = stopped
        self._emit = emit
        self._topics: set[str] = set()
        self._cautions: set[str] = set()
        self._asked = 0.0
        self._errands: queue.SimpleQueue[Sequence[Message] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._threads = threads
        self._thread: threading.Thread | None = None

    def send(self, messages: Sequence[Message]) -> None:
        """Set out."""
        if self._thread is None:
            self._thread = self._threads.start("delivery", self._run)
        self._errands.put(messages)

    def wait(self) -> Sequence[Delivery]:
        """What became of each message; raises what the sink raised."""
        while True:
            try:
                answer = self._answers.get(timeout=0.2)
            except queue.Empty:
                if self._stopped():
                    late = "The destination did not answer within the grace period; nothing more was marked."
                    raise CutShortError(late) from None
                if self._thread is not None and not self._thread.is_alive() and self._answers.empty():
                    raise BatchopsError("The thread that delivers has ended; nothing more was marked.") from None
                continue
            if isinstance(answer, BaseException):
                raise answer
            return answer

    def close(self) -> None:
        """Close the sink once nothing is on its way."""
        if self._thread is None:
            self._sink.close()
            return
        self._errands.put(None)
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while (messages := self._errands.get()) is not None:
            try:
                self._sink.open()
                self._answers.put(self._sink.send(messages) if messages else [])
            except BaseException as error:  # noqa: BLE001  raised again by whoever waits
                self._answers.put(error)
            else:
                self._threads.survive("look at the destination", partial(self._look, messages))
        self._sink.close()

    def _look(self, messages: Sequence[Message]) -> None:
        """Whether topics that are new keep what they acknowledge."""
        if not isinstance(self._sink, Cautious) or len(self._topics) >= TOPICS:
            return
        for topic in sorted({message.topic for message in messages} - self._topics)[: TOPICS - len(self._topics)]:
            if self._asked > ASKING:
                return
            begun = time.monotonic()
            caution = self._sink.caution(topic)
            self._asked += time.monotonic() - begun
            self._topics.add(topic)
            if caution and caution not in self._cautions:
                self._cautions.add(caution)
                self._emit(Warned(caution))
