"""One connection to RabbitMQ, in a thread of its own, over which messages go out and confirms come back."""

import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import pika
from pika.exceptions import ConnectionBlockedTimeout, ConnectionClosed

from batchops.outbox.sinks import Delivery, Message, Refused, Unsent, error_reasons
from batchops.outbox.sinks.ordering import DeliveryOrder
from batchops.outbox.sinks.rabbitmq_properties import UNFIT, properties_of
from batchops.runtime.threads import described

logging.getLogger("pika").addHandler(logging.NullHandler())  # else its errors would go to stderr, beside ours
_MESSAGE_CODES = frozenset({406, 501, 502})
"""Codes for a message that the broker cannot take: too large, in a frame that is, of a syntax that it does not read."""
_PASSES = re.compile(r"\blimit\b|\bis down\b")
"""In the words of a broker that has too many connections, or a virtual host that is about to start."""
FULL = "a queue is full and takes nothing (it confirmed the opposite)"
SPARE = 5.0
"""Seconds beyond the bound in which the thread must have said how it went."""


@dataclass(frozen=True)
class ConnectionProblem:
    """Why the connection, or the channel on it, is of no use any more."""

    text: str
    hint: str = ""
    message_refused: bool = False
    """Whether the broker closed the channel because of a message, without saying which."""
    access_refused: bool = False
    """Whether the broker refused the user, or the virtual host to it."""


class RabbitMQConnection:
    """A connection, its channel, and what is under way on it. Whatever touches them runs in the line's own thread."""

    def __init__(self, parameters: pika.ConnectionParameters, exchange: str, seconds: float) -> None:
        self.problem = ConnectionProblem("no answer in time")
        self.usable = False
        self._exchange = exchange
        self._seconds = seconds
        self._ready = threading.Event()
        self._connection = pika.SelectConnection(
            parameters, on_open_callback=self._opened, on_open_error_callback=self._lost, on_close_callback=self._lost
        )
        self._thread = threading.Thread(target=self._run, name="batchops-amqp", daemon=True)
        self._channel: Any = None
        self._publishing: _Publishing | None = None
        self._tag = 0
        self._guard = threading.Lock()
        self._over = False

    def connect(self) -> bool:
        """Whether it can be used now; else `problem` says why not."""
        self._thread.start()
        self._ready.wait(self._seconds + SPARE)
        return self.usable

    def publish(
        self,
        order: DeliveryOrder,
        messages: Sequence[Message],
        unfit: Callable[[Message], Refused | None],
        topic: str | None,
    ) -> str | None:
        """Until all are settled: None; or why it went no further."""
        publishing = _Publishing(order, messages, unfit, topic)
        if not self._call_in_thread(lambda: self._begin(publishing)):
            return self.problem.text
        while not publishing.over.wait(0.2):
            if time.monotonic() - publishing.last_answer > self._seconds:
                self.usable, self.problem = (
                    False,
                    ConnectionProblem("it confirms nothing; an alarm may block publishers"),
                )
                self._end_publishing()
                break
        if not self.usable:
            return self.problem.text
        return FULL if publishing.nacked and not order.acknowledged else None

    def close(self) -> None:
        """Close the connection and end the thread."""
        if self._thread.ident is None:
            return
        self._call_in_thread(self._closing)
        self._thread.join(SPARE)

    def _call_in_thread(self, work: Callable[[], None]) -> bool:
        """Whether the thread will do it; it does nothing once its loop is closed."""
        with self._guard:
            if not self._over:
                self._connection.ioloop.add_callback_threadsafe(work)
            return not self._over

    def _run(self) -> None:
        try:
            self._connection.ioloop.start()
        except Exception as error:  # noqa: BLE001  the thread that waits for an answer raises it
            self.problem = ConnectionProblem(described(error))
        finally:
            self.usable = False
            self._ready.set()
            self._end_publishing()
            with self._guard:
                self._over = True
                self._connection.ioloop.close()

    def _closing(self) -> None:
        if self._connection.is_open:
            self._connection.close()
        else:
            self._connection.ioloop.stop()

    def _opened(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(self._returned)
        channel.confirm_delivery(self._confirmed, callback=self._confirming)

    def _confirming(self, _: Any) -> None:
        self.usable = True
        self._ready.set()

    def _channel_closed(self, _: Any, reason: Exception) -> None:
        code = getattr(reason, "reply_code", None)
        if code is None:  # the connection went, and took the channel along
            self._fail(_why(reason))
            return
        text = getattr(reason, "reply_text", "")
        hint = "declare the exchange, or name another: exchange=NAME." if code == 404 else ""
        self._fail(ConnectionProblem(f"{text} ({code})"[:300], hint, message_refused=code in _MESSAGE_CODES))

    def _lost(self, _: Any, reason: BaseException) -> None:
        self._fail(_why(reason))
        self._connection.ioloop.stop()

    def _fail(self, problem: ConnectionProblem) -> None:
        if self.usable or not self._ready.is_set():  # the first reason is the true one
            self.problem = problem
        self.usable = False
        self._ready.set()
        self._end_publishing()

    def _end_publishing(self) -> None:
        if self._publishing is not None:
            self._publishing.over.set()

    def _begin(self, publishing: "_Publishing") -> None:
        self._publishing = publishing
        if self.usable:
            self._publish()
        else:
            publishing.over.set()

    def _publish(self) -> None:
        """All that may go out now."""
        publishing = self._publishing
        assert publishing is not None
        while indexes := publishing.order.take():
            for index in indexes:
                if refused := publishing.unfit(publishing.messages[index]):
                    publishing.order.settle(index, refused)
                    continue
                try:
                    self._out(publishing.messages[index], publishing.topic)
                except UNFIT as error:
                    publishing.order.settle(index, Refused(str(error)[:300] or type(error).__name__, final=True))
                    continue
                self._tag += 1
                publishing.tags[self._tag] = index
        if publishing.order.done:
            publishing.over.set()

    def _out(self, message: Message, topic: str | None) -> None:
        properties = properties_of(message, self._connection.params.frame_max)
        self._channel.basic_publish(self._exchange, topic or message.topic, message.body, properties, mandatory=True)

    def _returned(self, _: Any, method: Any, properties: Any, __: bytes) -> None:
        """Said before the confirm of the same message."""
        if self._publishing is not None:
            self._publishing.returned[properties.message_id] = _unroutable(method)

    def _confirmed(self, frame: Any) -> None:
        publishing = self._publishing
        if publishing is None or publishing.over.is_set():
            return
        publishing.last_answer = time.monotonic()
        last, nacked = frame.method.delivery_tag, frame.method.NAME == "Basic.Nack"
        tags = list(takewhile(lambda tag: tag <= last, publishing.tags)) if frame.method.multiple else [last]
        for tag in tags:
            if (index := publishing.tags.pop(tag, None)) is not None:
                publishing.nacked |= nacked
                publishing.order.settle(index, publishing.result(index, nacked))
        self._publish()


class _Publishing:
    """The messages of one `send` while they are under way."""

    def __init__(
        self,
        order: DeliveryOrder,
        messages: Sequence[Message],
        unfit: Callable[[Message], Refused | None],
        topic: str | None,
    ) -> None:
        self.order = order
        self.messages = messages
        self.unfit = unfit
        self.topic = topic
        self.over = threading.Event()
        self.last_answer = time.monotonic()
        """When the broker was last heard."""
        self.tags: dict[int, int] = {}
        """Of what is under way, ascending."""
        self.returned: dict[str, str] = {}
        self.nacked = False

    def result(self, index: int, nacked: bool) -> Delivery:
        """A returned message is confirmed all the same: nothing can be done for it."""
        if (reason := self.returned.pop(self.messages[index].id, None)) is not None:
            return Refused(reason)
        return Unsent(FULL) if nacked else None


def _unroutable(method: Any) -> str:
    """Why a message came back, and what is to be declared or bound."""
    exchange, key, reply = method.exchange, method.routing_key, method.reply_text
    if reply != "NO_ROUTE":
        return f"no queue takes it ({reply})"
    if not exchange:
        return f'no queue takes it ({reply}): declare a queue "{key}", or name an exchange in the URL: exchange=NAME'
    return f'no queue takes it ({reply}): bind a queue to exchange "{exchange}" for the routing key "{key}"'


def _why(reason: BaseException) -> ConnectionProblem:
    text = repr(reason)  # pika wraps what the broker said, or a connection lost at that moment
    if isinstance(reason, ConnectionBlockedTimeout):
        return ConnectionProblem("an alarm blocks publishers (memory or disk)", "see rabbitmqctl alarms.")
    if "ACCESS_REFUSED" in text:
        return ConnectionProblem("the user or password is refused", "check them in the URL.", access_refused=True)
    if "NOT_ALLOWED" in text and not _PASSES.search(text):
        hint = "amqp://host/VHOST; the first one is /."
        return ConnectionProblem("the user has no access to this virtual host", hint, access_refused=True)
    for cause in (reason, *reason.args):
        if isinstance(cause, ConnectionClosed):
            text = f"it closed the connection: {cause.reply_text} ({cause.reply_code})"[:300]
            return ConnectionProblem(text, message_refused=cause.reply_code in _MESSAGE_CODES)
    return ConnectionProblem(*error_reasons.why(reason))
