"""One connection to RabbitMQ in a thread of its own: it publishes messages and receives their confirms."""

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

logging.getLogger("pika").addHandler(logging.NullHandler())  # else it would write its errors to stderr too
_MESSAGE_CODES = frozenset({406, 501, 502})
"""Reply codes for a message that the broker cannot accept: it or its frame is too large, or its syntax is wrong."""
_TEMPORARY = re.compile(r"\blimit\b|\bis down\b")
"""Matches the message of a broker with too many connections, or with a virtual host that is not up yet."""
FULL = "a queue is full and takes nothing (it confirmed the opposite)"
SPARE = 5.0
"""Seconds beyond the timeout in which the thread must have reported the result."""


@dataclass(frozen=True)
class ConnectionProblem:
    """Why the connection, or its channel, can no longer be used."""

    text: str
    hint: str = ""
    message_refused: bool = False
    """Whether the broker closed the channel because of a message. It does not report which one."""
    access_refused: bool = False
    """Whether the broker refused the user, or the user's access to the virtual host."""


class RabbitMQConnection:
    """A connection, its channel, and the messages under way on it. Only the connection's own thread uses them."""

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
        """Connect; whether the connection can be used now. If not, `problem` says why."""
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
        """Publish until all messages are settled, and return None; or return why publishing ended early."""
        publishing = _Publishing(order, messages, unfit, topic)
        if not self._call_in_thread(lambda: self._start_publishing(publishing)):
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
        """Have the connection's thread do the work; False if its loop is closed, and it does nothing any more."""
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
        if code is None:  # the connection was lost, and the channel with it
            self._fail(_why(reason))
            return
        text = getattr(reason, "reply_text", "")
        hint = "declare the exchange, or name another: exchange=NAME." if code == 404 else ""
        self._fail(ConnectionProblem(f"{text} ({code})"[:300], hint, message_refused=code in _MESSAGE_CODES))

    def _lost(self, _: Any, reason: BaseException) -> None:
        self._fail(_why(reason))
        self._connection.ioloop.stop()

    def _fail(self, problem: ConnectionProblem) -> None:
        if self.usable or not self._ready.is_set():  # keep the first problem, which causes the later ones
            self.problem = problem
        self.usable = False
        self._ready.set()
        self._end_publishing()

    def _end_publishing(self) -> None:
        if self._publishing is not None:
            self._publishing.over.set()

    def _start_publishing(self, publishing: "_Publishing") -> None:
        self._publishing = publishing
        if self.usable:
            self._publish()
        else:
            publishing.over.set()

    def _publish(self) -> None:
        """Publish all messages that may be sent now."""
        publishing = self._publishing
        assert publishing is not None
        while indexes := publishing.order.take():
            for index in indexes:
                if refused := publishing.unfit(publishing.messages[index]):
                    publishing.order.settle(index, refused)
                    continue
                try:
                    self._publish_one(publishing.messages[index], publishing.topic)
                except UNFIT as error:
                    publishing.order.settle(index, Refused(str(error)[:300] or type(error).__name__, final=True))
                    continue
                self._tag += 1
                publishing.tags[self._tag] = index
        if publishing.order.done:
            publishing.over.set()

    def _publish_one(self, message: Message, topic: str | None) -> None:
        properties = properties_of(message, self._connection.params.frame_max)
        self._channel.basic_publish(self._exchange, topic or message.topic, message.body, properties, mandatory=True)

    def _returned(self, _: Any, method: Any, properties: Any, __: bytes) -> None:
        """Note why the broker returned a message. It does so before it confirms the same message."""
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
    """The messages of one call to `publish` while they are under way."""

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
        """The time of the broker's last confirm."""
        self.tags: dict[int, int] = {}
        """Indexes of the messages under way by delivery tag, in ascending order."""
        self.returned: dict[str, str] = {}
        self.nacked = False

    def result(self, index: int, nacked: bool) -> Delivery:
        """Return what became of a confirmed message.

        The broker confirms a message that it returned too, but that one was not delivered.
        """
        if (reason := self.returned.pop(self.messages[index].id, None)) is not None:
            return Refused(reason)
        return Unsent(FULL) if nacked else None


def _unroutable(method: Any) -> str:
    """Return why the broker returned a message, and what to declare or bind."""
    exchange, key, reply = method.exchange, method.routing_key, method.reply_text
    if reply != "NO_ROUTE":
        return f"no queue takes it ({reply})"
    if not exchange:
        return f'no queue takes it ({reply}): declare a queue "{key}", or name an exchange in the URL: exchange=NAME'
    return f'no queue takes it ({reply}): bind a queue to exchange "{exchange}" for the routing key "{key}"'


def _why(reason: BaseException) -> ConnectionProblem:
    text = repr(reason)  # pika wraps the broker's message, or the loss of the connection
    if isinstance(reason, ConnectionBlockedTimeout):
        return ConnectionProblem("an alarm blocks publishers (memory or disk)", "see rabbitmqctl alarms.")
    if "ACCESS_REFUSED" in text:
        return ConnectionProblem("the user or password is refused", "check them in the URL.", access_refused=True)
    if "NOT_ALLOWED" in text and not _TEMPORARY.search(text):
        hint = "amqp://host/VHOST; the first one is /."
        return ConnectionProblem("the user has no access to this virtual host", hint, access_refused=True)
    for cause in (reason, *reason.args):
        if isinstance(cause, ConnectionClosed):
            text = f"it closed the connection: {cause.reply_text} ({cause.reply_code})"[:300]
            return ConnectionProblem(text, message_refused=cause.reply_code in _MESSAGE_CODES)
    return ConnectionProblem(*error_reasons.why(reason))
