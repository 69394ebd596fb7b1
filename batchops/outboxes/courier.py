"""Takes messages to the destination in a thread of its own, so that the database can be asked meanwhile."""

import queue
import threading
from collections.abc import Callable, Sequence

from batchops.errors import BatchopsError
from batchops.sinks import Delivery, Message, Sink

Answer = Sequence[Delivery] | BaseException


class Courier:
    """One errand at a time: `go`, then `wait` for what came of it."""

    def __init__(self, sink: Sink, given_up: Callable[[], bool]) -> None:
        """`given_up`: whether to leave behind an errand that does not come to an end."""
        self._sink = sink
        self._given_up = given_up
        self._errands: queue.SimpleQueue[Sequence[Message] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="batchops-courier", daemon=True)

    def go(self, messages: Sequence[Message]) -> None:
        """Set out."""
        if self._thread.ident is None:
            self._thread.start()
        self._errands.put(messages)

    def wait(self) -> Sequence[Delivery]:
        """What became of each message; raises what the sink raised."""
        while True:
            try:
                answer = self._answers.get(timeout=0.2)
            except queue.Empty:
                if self._given_up():
                    raise BatchopsError("The destination did not answer in time; nothing more was marked.") from None
                continue
            if isinstance(answer, BaseException):
                raise answer
            return answer

    def close(self) -> None:
        """Close the sink once nothing is on its way."""
        if self._thread.ident is None:
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
        self._sink.close()
