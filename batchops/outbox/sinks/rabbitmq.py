"""The sink `amqp://…`: sends persistent messages. RabbitMQ confirms each once it is safe in all its queues."""

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing, suppress

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

from batchops.errors import UsageError
from batchops.outbox.sinks import AccessRefusedError, Delivery, Message, Refused, SinkDownError, Unsent, tls
from batchops.outbox.sinks.address import SinkAddress, address
from batchops.outbox.sinks.ordering import DeliveryOrder
from batchops.outbox.sinks.rabbitmq_connection import RabbitMQConnection
from batchops.outbox.sinks.rabbitmq_properties import READ, SHORT_STRING_BYTES, unfit

OPTIONS = ("timeout", "exchange", "topic")
WINDOW = 1_000
"""The most messages under way, each of another key: the broker may refuse one and accept the next."""


def sink(url: str, environ: Mapping[str, str]) -> "RabbitMQSink":
    """Return the sink for the broker in the URL; raise UsageError for an option that it does not have."""
    scheme = url.partition(":")[0].lower()
    return RabbitMQSink(address(url, 5671 if scheme == "amqps" else 5672, environ))


class RabbitMQSink:
    """Publishes with confirms, `mandatory` and persistent; the topic is the routing key.

    The broker returns a message that no queue takes, and it counts as refused. Without `mandatory` the broker would
    drop it silently.
    """

    properties: Collection[str] = tuple(READ)

    def __init__(self, at: SinkAddress) -> None:
        secure = at.scheme == "amqps"
        at.only(*OPTIONS, *(tls.OPTIONS if secure else ()))
        self._place = at.place
        self._topic = at.options.get("topic")
        self._seconds = at.seconds("timeout", 30.0)
        self._exchange = at.options.get("exchange", "")
        self._parameters = [_parameters(at, host, port, self._seconds) for host, port in at.hosts]
        self._connection: RabbitMQConnection | None = None
        self._isolated: set[str] = set()
        """Ids of the messages that were under way when the broker closed the channel: one of them was the reason."""

    def open(self) -> None:
        """Connect to the first host that answers."""
        if self._connection is not None and self._connection.usable:
            return
        self.close()
        problems = []
        for parameters in self._parameters:
            self._connection = RabbitMQConnection(parameters, self._exchange, self._seconds)
            if self._connection.connect():
                return
            problems.append(self._connection.problem)
            self.close()
        for problem in problems:
            if problem.access_refused:
                raise AccessRefusedError(f"{self._place}: {problem.text}.", problem.hint)
        raise SinkDownError(f"{self._place}: {problems[-1].text}.", problems[-1].hint)

    def send(self, messages: Sequence[Message]) -> Sequence[Delivery]:
        """Publish the messages, those of different keys at once. Raise SinkDownError if none is confirmed."""
        self.open()
        connection = self._connection
        assert connection is not None
        order = DeliveryOrder(messages, WINDOW, isolated=self._isolated)
        why = connection.publish(order, messages, self._unfit, self._topic)
        if why is None:
            self._isolated = set()
            return order.end()
        self._isolated = set()
        under_way = order.under_way
        if connection.problem.message_refused and (order.one_by_one or len(under_way) == 1):
            return order.end(Refused(why, final=True))
        if connection.problem.message_refused:
            self._isolated = {messages[index].id for index in under_way}
        elif not order.acknowledged:
            raise SinkDownError(f"{self._place}: {why}.", connection.problem.hint)
        return order.end(Unsent(why))

    def loss_warning(self, topic: str) -> str | None:
        """Return the warning if the topic's queue is not durable; None with an exchange, whose queues are not known."""
        queue = self._topic or topic
        if self._exchange:
            return None
        with suppress(AMQPError, OSError, ValueError), closing(pika.BlockingConnection(self._parameters)) as connection:
            connection.channel().queue_declare(queue, passive=True)  # else the next call would create it
            try:
                connection.channel().queue_declare(queue, durable=True)
            except ChannelClosedByBroker as error:
                if "arg 'durable'" in error.reply_text:
                    return (
                        f'{self._place}: queue "{queue}" is not durable: when the broker starts again, the queue and '
                        "what it has confirmed are gone (declare it with durable=true)."
                    )
        return None

    def close(self) -> None:
        """Close the connection and end its thread."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _unfit(self, message: Message) -> Refused | None:
        topic = self._topic or message.topic
        if "\0" in topic or not (topic or self._exchange) or len(topic.encode()) > SHORT_STRING_BYTES:
            return Refused("its topic is not a routing key: 1 to 255 bytes without NUL", final=True)
        why = unfit(message)
        return Refused(why, final=True) if why else None


def _parameters(at: SinkAddress, host: str, port: int, seconds: float) -> pika.ConnectionParameters:
    if re.search(r"[\x00-\x1f]", at.path):
        raise UsageError("The virtual host in the amqp:// URL holds a control character.")
    options = {"ssl_options": pika.SSLOptions(tls.context(at), host)} if at.scheme == "amqps" else {}
    return pika.ConnectionParameters(
        host=host,
        port=port,
        virtual_host=at.path or "/",
        credentials=pika.PlainCredentials(at.user or "guest", at.password if at.password is not None else "guest"),
        heartbeat=max(10, round(2 * seconds)),
        socket_timeout=min(seconds, 10.0),
        stack_timeout=min(seconds, 15.0),
        blocked_connection_timeout=seconds,
        connection_attempts=1,
        client_properties={"connection_name": "batchops"},
        **options,
    )
