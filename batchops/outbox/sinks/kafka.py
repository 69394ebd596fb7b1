"""The sink `kafka://…`: sends each event as a record, which all in-sync replicas acknowledge."""

import logging
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from batchops.errors import UsageError
from batchops.outbox.sinks import AccessRefusedError, Delivery, Message, Refused, SinkDownError, tls
from batchops.outbox.sinks.address import SinkAddress, address
from batchops.outbox.sinks.kafka_batch import ProducerBatch
from batchops.outbox.sinks.kafka_sending import Sending

OPTIONS = ("timeout", "compression", "topic", "mechanism", "tls")
WINDOW = 40_000
"""The most records that the client queues; it packs them into requests."""
WINDOW_KILOBYTES = 32_768
"""The most kilobytes that the client queues."""
LARGEST = 16_000_000
"""Bytes of the largest record that the client accepts. The broker decides what is too large for a topic."""
REQUEST = 1_000_000
"""Bytes of a request of several records. Brokers accept that many by default."""
PROBE_SECONDS = 1.0
"""Seconds that one probe of the cluster takes, before the sink checks whether it refuses the login."""
SPARE = 2.0
"""Seconds beyond the timeout in which the client must have reported that a topic does not exist."""
REMEMBERED = 200_000
"""The most keys remembered as having an acknowledged record."""
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_LOGIN = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})


def sink(url: str, environ: Mapping[str, str]) -> "KafkaSink":
    """Return the sink for the cluster in the URL; raise UsageError for an option that it does not have."""
    return KafkaSink(address(url, 9092, environ))


class KafkaSink:
    """Sends records by an idempotent producer: within a partition, and so within a key, they arrive in order and once.

    A broker accepts or refuses a request with all of its records. At the first refused request the producer ends,
    since no later record may be delivered. Another producer then sends the records of that request again, each in a
    request of its own, to find the one that was refused.
    """

    def __init__(self, at: SinkAddress) -> None:
        at.only(*OPTIONS, *tls.OPTIONS)
        if at.path:
            raise UsageError("kafka:// takes hosts only: kafka://host:9092,host:9092.", "name the topic by --topic.")
        self._place = at.place
        self._topic = at.options.get("topic")
        self._timeout = at.seconds("timeout", 10.0)
        self._settings = _settings(at, self._timeout) | {"error_cb": self._note_error}
        self._producer: Producer | None = None
        self._alone = False
        """Whether the producer sends each record in a request of its own."""
        self._request = REQUEST
        self._begun: set[tuple[str, str]] = set()
        """Topics and keys with a record that this producer sent and a broker acknowledged."""
        self._last: KafkaError | None = None
        """The last error that the client reported about the cluster as a whole."""

    def open(self) -> None:
        """Connect, and check that a broker answers."""
        if self._producer is not None:
            return
        self._last = None
        size = {"batch.num.messages": 1} if self._alone else {"batch.size": self._request}
        producer = Producer(self._settings | size, logger=_silent())
        self._await_broker(producer)
        self._producer = producer

    def _await_broker(self, producer: Producer) -> None:
        """Wait until a broker answers; raise SinkDownError if none does.

        This asks in short probes: one long one would repeat a refused password for the whole time.
        """
        end = time.monotonic() + min(self._timeout, 10.0)
        while True:
            left = max(0.1, end - time.monotonic())
            try:
                producer.list_topics(timeout=min(left, PROBE_SECONDS))
                return
            except KafkaException as error:
                producer.poll(0)  # calls error_cb with the reason
                down = self._down(error.args[0])
                if left <= PROBE_SECONDS or isinstance(down, AccessRefusedError):
                    raise down from error

    def send(self, messages: Sequence[Message]) -> Sequence[Delivery]:
        """Send the messages, and wait for the report of each. Without a report in time, one is not acknowledged."""
        self.open()
        sending = Sending(messages)
        while sending.left:
            alone = bool(sending.isolated)
            try:
                self._send_with_one_producer(sending, alone=alone)
            except SinkDownError as error:
                sending.give_up(error.message)
            if alone and not sending.isolated and not sending.guilty:
                self._request = max(min(self._request, sending.together) // 4, 1000)  # each was accepted by itself
        return sending.end()

    def _send_with_one_producer(self, sending: Sending, *, alone: bool) -> None:
        """Send as many of the messages as one producer can."""
        if alone is not self._alone:
            self.close()
            self._alone = alone
        self.open()
        producer = self._producer
        assert producer is not None
        given = ProducerBatch(producer, sending.messages, self._timeout + SPARE, alone=alone)
        under_way, first = self._produce(given, sending)
        given.wait()
        sending.settle(under_way, given)
        self._remember(first, given, sending.messages)
        if given.ended:
            self.close()

    def _produce(self, given: ProducerBatch, sending: Sending) -> tuple[Sequence[int], Sequence[int]]:
        """Produce the messages that may be sent now; return them, and those of them that are the first of their keys.

        The events of a key for another topic wait until the earlier ones are acknowledged. The events after the first
        one of a key wait too: a broker that has no record of a producer yet accepts any request as the first one,
        even if it refused the request before that.
        """
        topics: dict[str, str | None] = {}
        due, beginning = sending.next, list[int]()
        produced = self._produce_at_once(given, sending.messages, due)
        for index in due[len(produced) :]:
            message = sending.messages[index]
            topic, key = self._topic or message.topic, message.key
            first = key not in topics
            if key in given.failed or given.ended or not (first or topics[key] == topic):
                topics[key] = None  # later messages of the key wait too
            elif _is_name(topic):
                produced += given.produce([index], topic)
                if first and (topic, key) not in self._begun:
                    beginning.append(index)
                    topics[key] = None
                elif first:
                    topics[key] = topic
            else:
                sending.refuse(index, Refused(f'"{topic[:60]!a}" cannot be the name of a topic', final=True))
                topics[key] = None
        return produced, beginning

    def _produce_at_once(self, given: ProducerBatch, messages: Sequence[Message], due: Sequence[int]) -> list[int]:
        """Produce the messages in one go, up to one that the client does not accept, and return them.

        Produce none unless all have one topic, and each of their keys has an acknowledged record there.
        """
        topics = {self._topic} if self._topic else {messages[index].topic for index in due}
        keys = {messages[index].key for index in due}
        if (
            len(topics) != 1
            or not _is_name(topic := topics.pop())
            or not all((topic, key) in self._begun for key in keys)
        ):
            return []
        return list(given.produce(due, topic))

    def _remember(self, beginning: Sequence[int], given: ProducerBatch, messages: Sequence[Message]) -> None:
        """Remember the topics and keys of the messages in `beginning` that were acknowledged."""
        if len(self._begun) > REMEMBERED:
            self._begun.clear()
        acknowledged = (messages[index] for index in beginning if index not in given.reports)
        self._begun.update((self._topic or message.topic, message.key) for message in acknowledged)

    def close(self) -> None:
        """Release the producer. Records that it still queues are not sent."""
        producer, self._producer = self._producer, None
        self._begun.clear()
        if producer is not None:
            producer.purge()
            with suppress(KafkaException):
                producer.poll(0)

    def _note_error(self, error: KafkaError) -> None:
        self._last = error

    def _down(self, error: KafkaError) -> SinkDownError:
        for one in (self._last, error):
            if one is not None and refuses_login(one):
                return AccessRefusedError(f"{self._place}: the user or password is refused.", "check them in the URL.")
            if one is not None and one.code() == KafkaError._SSL:
                return SinkDownError(f"{self._place}: TLS was refused.", "tls=no, or ca=FILE for its authority.")
        return SinkDownError(f"{self._place}: no broker answers ({error.name()}).")


def refuses_login(error: KafkaError) -> bool:
    """Whether the cluster refuses the user or password.

    The client reports the same code if the connection ended in the middle of a login.
    """
    text = error.str().lower()
    return error.code() in _LOGIN and "transport" not in text and "disconnect" not in text


@lru_cache
def _is_name(topic: str) -> bool:
    return _TOPIC.fullmatch(topic) is not None and topic not in (".", "..")


def _settings(at: SinkAddress, timeout: float) -> dict[str, Any]:
    return {
        "bootstrap.servers": ",".join(f"{host}:{port}" for host, port in at.hosts),
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",  # as in Java's producers, so that all writers of a key use one partition
        "enable.gapless.guarantee": True,
        "message.timeout.ms": 0,  # no timeout: if the client gave up a record, later ones would overtake it
        "message.max.bytes": LARGEST,
        "topic.metadata.propagation.max.ms": round(min(timeout / 2, 5.0) * 1000),
        "compression.type": at.choice("compression", "none", "gzip", "snappy", "lz4", "zstd"),
        "linger.ms": 1,
        "delivery.report.only.error": True,
        "queue.buffering.max.messages": WINDOW,
        "queue.buffering.max.kbytes": WINDOW_KILOBYTES,
        "allow.auto.create.topics": False,
        **_security(at),
    }


def _security(at: SinkAddress) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    secure = at.choice("tls", "no", "yes") == "yes" or any(name in at.options for name in tls.OPTIONS)
    if secure:
        tls.context(at)  # raises UsageError if its files cannot be used
        names = zip(tls.OPTIONS, ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location"), strict=True)
        settings |= {name: at.options[option] for option, name in names if option in at.options}
    if at.user is not None:
        mechanism = at.choice("mechanism", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
        settings |= {"sasl.mechanisms": mechanism, "sasl.username": at.user, "sasl.password": at.password or ""}
    settings["security.protocol"] = {
        (False, False): "PLAINTEXT", (True, False): "SSL", (False, True): "SASL_PLAINTEXT", (True, True): "SASL_SSL",
    }[secure, at.user is not None]  # fmt: skip
    return settings


def _silent() -> logging.Logger:
    """Return a logger that discards all: the client would write to stderr, and reports what matters as errors."""
    silent = logging.Logger("kafka")
    silent.addHandler(logging.NullHandler())
    return silent
