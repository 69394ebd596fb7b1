"""`kafka://…`: each event a record; the broker's own acknowledgement, by all replicas in sync."""

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
"""Records that the client holds at the most; it packs them into requests."""
WINDOW_KILOBYTES = 32_768
"""The same by their size."""
LARGEST = 16_000_000
"""Bytes of a record that the client lets pass: what is too large for a topic, its broker is to say."""
REQUEST = 1_000_000
"""Bytes of a request, where its records are smaller; brokers take so many unless they are told otherwise."""
LOOK = 1.0
"""Seconds after which it is looked whether the cluster refuses the login."""
SPARE = 2.0
"""Seconds beyond the timeout in which the client must have said that there is no such topic."""
REMEMBERED = 200_000
"""Keys that are known to have begun."""
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_LOGIN = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})


def sink(url: str, environ: Mapping[str, str]) -> "KafkaSink":
    """The topics of that cluster; UsageError for an option that it cannot have."""
    return KafkaSink(address(url, 9092, environ))


class KafkaSink:
    """Sends records by an idempotent producer: within a partition, and so within a key, they arrive in order and once.

    A broker takes or refuses a request with all of its records, and the producer ends with the first one that is
    refused, as what comes after it must not be delivered. Another one brings the records of that request again, each
    in a request of its own: then it shows which of them it was.
    """

    def __init__(self, at: SinkAddress) -> None:
        at.only(*OPTIONS, *tls.OPTIONS)
        if at.path:
            raise UsageError("kafka:// takes hosts only: kafka://host:9092,host:9092.", "name the topic by --topic.")
        self._place = at.place
        self._topic = at.options.get("topic")
        self._timeout = at.seconds("timeout", 10.0)
        self._settings = _settings(at, self._timeout) | {"error_cb": self._heard}
        self._producer: Producer | None = None
        self._alone = False
        """Whether the producer makes a request of each record."""
        self._request = REQUEST
        self._begun: set[tuple[str, str]] = set()
        """Topics and keys with a record of this producer that was acknowledged."""
        self._last: KafkaError | None = None
        """What the client has last said of the cluster as a whole."""

    def open(self) -> None:
        """Connect, and see that a broker answers."""
        if self._producer is not None:
            return
        self._last = None
        size = {"batch.num.messages": 1} if self._alone else {"batch.size": self._request}
        producer = Producer(self._settings | size, logger=_silent())
        self._see_broker(producer)
        self._producer = producer

    def _see_broker(self, producer: Producer) -> None:
        """In short looks: the client would ask for the whole time with a password that is refused."""
        end = time.monotonic() + min(self._timeout, 10.0)
        while True:
            left = max(0.1, end - time.monotonic())
            try:
                producer.list_topics(timeout=min(left, LOOK))
                return
            except KafkaException as error:
                producer.poll(0)  # hears why
                down = self._down(error.args[0])
                if left <= LOOK or isinstance(down, AccessRefusedError):
                    raise down from error

    def send(self, messages: Sequence[Message]) -> Sequence[Delivery]:
        """Until each has its report; what is not reported in time is not acknowledged."""
        self.open()
        sending = Sending(messages)
        while sending.left:
            alone = bool(sending.isolated)
            try:
                self._sent_by_one(sending, alone=alone)
            except SinkDownError as error:
                sending.give_up(error.message)
            if alone and not sending.isolated and not sending.guilty:
                self._request = max(min(self._request, sending.together) // 4, 1000)  # each by itself was taken
        return sending.end()

    def _sent_by_one(self, sending: Sending, *, alone: bool) -> None:
        """As much as one producer does of it."""
        if alone is not self._alone:
            self.close()
            self._alone = alone
        self.open()
        producer = self._producer
        assert producer is not None
        given = ProducerBatch(producer, sending.messages, self._timeout + SPARE, alone=alone)
        under_way, first = self._produced(given, sending)
        given.wait()
        sending.settle(under_way, given)
        self._remember(first, given, sending.messages)
        if given.ended:
            self.close()

    def _produced(self, given: ProducerBatch, sending: Sending) -> tuple[Sequence[int], Sequence[int]]:
        """Those that may go out now, and which of them begin their keys.

        Of a key, its events for another topic wait until the ones before have arrived; so do all after its first: a
        broker that has nothing of a producer yet takes any request as its beginning, also the one after a request that
        it refused.
        """
        topics: dict[str, str | None] = {}
        due, beginning = sending.next, list[int]()
        produced = self._produced_at_once(given, sending.messages, due)
        for index in due[len(produced) :]:
            message = sending.messages[index]
            topic, key = self._topic or message.topic, message.key
            first = key not in topics
            if key in given.failed or given.ended or not (first or topics[key] == topic):
                topics[key] = None  # and so what comes after it
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

    def _produced_at_once(self, given: ProducerBatch, messages: Sequence[Message], due: Sequence[int]) -> list[int]:
        """The first of them up to one that is not taken; none unless they have one topic, and their keys have begun."""
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
        """Those of them that were acknowledged have begun their keys."""
        if len(self._begun) > REMEMBERED:
            self._begun.clear()
        acknowledged = (messages[index] for index in beginning if index not in given.reports)
        self._begun.update((self._topic or message.topic, message.key) for message in acknowledged)

    def close(self) -> None:
        """Release the producer; what it still has is not sent."""
        producer, self._producer = self._producer, None
        self._begun.clear()
        if producer is not None:
            producer.purge()
            with suppress(KafkaException):
                producer.poll(0)

    def _heard(self, error: KafkaError) -> None:
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

    The client gives the same code where the connection ended in the middle of a login.
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
        "partitioner": "murmur2_random",  # as Java's producers do, so that a key has one partition for all writers
        "enable.gapless.guarantee": True,
        "message.timeout.ms": 0,  # a record that the client gives up would be overtaken by later ones
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
        tls.context(at)  # that its files can be used is seen here
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
    """The client would write to stderr by itself; what matters comes back as errors."""
    silent = logging.Logger("kafka")
    silent.addHandler(logging.NullHandler())
    return silent
