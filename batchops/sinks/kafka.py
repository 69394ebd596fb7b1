"""`kafka://…`: each event a record; the broker's own acknowledgement, by all replicas in sync."""

import logging
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from batchops.errors import UsageError
from batchops.sinks import Delivery, Message, Refused, SinkDownError, Unsent, tls
from batchops.sinks.address import Address, address
from batchops.sinks.order import HELD, NOT_TRIED

OPTIONS = ("timeout", "compression", "topic", "mechanism", "tls")
Headers = list[tuple[str, str | bytes | None]]
WINDOW = 40_000
"""Records that the client holds at the most; it packs them into requests."""
WINDOW_KILOBYTES = 32_768
"""The same by their size."""
SPARE = 2.0
"""Seconds beyond its own timeout in which the client must have said what became of a record."""
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_FINAL = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD})
_OF_THE_EVENT = _FINAL | {
    KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_EXCEPTION,
}  # fmt: skip
_LOGIN = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})


def sink(url: str, environ: Mapping[str, str]) -> "Kafka":
    """The topics of that cluster; UsageError for an option that it cannot have."""
    return Kafka(address(url, 9092, environ))


class Kafka:
    """Sends records by an idempotent producer: within a partition, and so within a key, they arrive in order and once.

    That holds as long as the producer lives. Once a record was not acknowledged, what waits behind it is taken back,
    and the next call begins with another producer.
    """

    def __init__(self, at: Address) -> None:
        at.only(*OPTIONS, *tls.OPTIONS)
        if at.path:
            raise UsageError("kafka:// takes hosts only: kafka://host:9092,host:9092.", "name the topic by --topic.")
        self._place = at.place
        self._topic = at.options.get("topic")
        self._timeout = at.seconds("timeout", 10.0)
        self._settings = _settings(at, self._timeout) | {"error_cb": self._heard}
        self._producer: Producer | None = None
        self._last: KafkaError | None = None
        """What the client has last said of the cluster as a whole."""

    def open(self) -> None:
        """Connect, and see that a broker answers."""
        if self._producer is not None:
            return
        self._last = None
        producer = Producer(self._settings, logger=_silent())
        try:
            producer.list_topics(timeout=min(self._timeout, 10.0))
        except KafkaException as error:
            producer.poll(0)  # hears why
            raise self._down(error.args[0]) from error
        self._producer = producer

    def send(self, messages: Sequence[Message]) -> Sequence[Delivery]:
        """Until each has its report; what is not reported in time is not acknowledged."""
        self.open()
        producer = self._producer
        assert producer is not None
        reports = _Reports(producer, messages)
        left: Sequence[int] = range(len(messages))
        while left and not reports.broken:
            under_way, left = left, self._produced(producer, reports, left)
            if not self._flushed(producer):
                reports.lost(set(under_way).difference(left))
        for index in left:
            reports.deliveries[index] = NOT_TRIED
        if reports.broken:
            self.close()
        return reports.deliveries

    def _produced(self, producer: Producer, reports: "_Reports", indexes: Sequence[int]) -> Sequence[int]:
        """Those that have to wait: a key's events for another topic, until it is known that the ones before arrived."""
        topics: dict[str, str | None] = {}
        later = []
        for index in indexes:
            message = reports.messages[index]
            topic, key = self._topic or message.topic, message.key
            if reports.failed and key in reports.failed:
                reports.deliveries[index] = HELD
            elif topics.setdefault(key, topic) != topic:
                topics[key] = None  # and so what comes after it
                later.append(index)
            elif _is_name(topic):
                _produce(producer, reports, index, topic)
            else:
                reports.settle(index, Refused(f'"{topic[:60]!a}" is no name of a topic', final=True))
        return later

    def _flushed(self, producer: Producer) -> bool:
        """Whether it is known of all that were produced what became of them."""
        left, end = len(producer), time.monotonic() + self._timeout + SPARE
        while left and time.monotonic() < end:
            before, left = left, producer.flush(0.5)
            if left < before:
                end = time.monotonic() + self._timeout + SPARE
        return not left

    def close(self) -> None:
        """Let go of the producer; what it still has is not sent."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(0.1)

    def _heard(self, error: KafkaError) -> None:
        self._last = error

    def _down(self, error: KafkaError) -> SinkDownError:
        for one in (self._last, error):
            if one is not None and one.code() in _LOGIN:
                return SinkDownError(f"{self._place}: the user or password is refused.", "check them in the URL.")
            if one is not None and one.code() == KafkaError._SSL:
                return SinkDownError(f"{self._place}: TLS was refused.", "tls=no, or ca=FILE for its authority.")
        return SinkDownError(f"{self._place}: no broker answers ({error.name()}).")


class _Reports:
    """What became of each message. None is reported where it was acknowledged: that would be half of its cost."""

    def __init__(self, producer: Producer, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.deliveries: list[Delivery] = [None] * len(messages)
        """What has been produced and flushed without a report is acknowledged."""
        self.failed: set[str] = set()
        """Keys of which a record was not acknowledged."""
        self.broken = False
        """Whether a record was not acknowledged by no fault of its own: the producer's order ends there."""
        self._producer = producer

    def told(self, index: int, error: KafkaError | None, _: object) -> None:
        """By the client, while it is polled or flushed."""
        if error is not None:
            self.settle(index, _verdict(error))

    def settle(self, index: int, delivery: Delivery) -> None:
        """One that was not acknowledged."""
        self.failed.add(self.messages[index].key)
        if isinstance(delivery, Unsent) and not self.broken:
            self.broken = True
            self._producer.purge(in_flight=False, blocking=False)
        self.deliveries[index] = delivery

    def lost(self, indexes: Iterable[int]) -> None:
        """Of some of these nothing was heard: none of them counts as acknowledged."""
        self.broken = True
        for index in indexes:
            if self.deliveries[index] is None:
                self.deliveries[index] = Unsent("the broker did not answer in time")


def _produce(producer: Producer, reports: _Reports, index: int, topic: str) -> None:
    message = reports.messages[index]
    headers: Headers = [("id", message.id), *message.headers.items()]
    report = partial(reports.told, index)
    while True:
        try:
            producer.produce(topic, message.body, message.key, headers=headers, on_delivery=report)
        except BufferError:
            producer.poll(0.05)  # the client's own queue is full
            continue
        except KafkaException as error:
            reports.settle(index, _verdict(error.args[0]))
        return


@lru_cache
def _is_name(topic: str) -> bool:
    return _TOPIC.fullmatch(topic) is not None


def _verdict(error: KafkaError) -> Delivery:
    if error.code() in (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT):
        return Unsent("taken back, as an earlier record was not acknowledged")
    if error.code() in _OF_THE_EVENT:
        return Refused(f"{error.name()}: {error.str()}"[:300], final=error.code() in _FINAL)
    return Unsent(f"{error.name()}: {error.str()}"[:300])


def _settings(at: Address, timeout: float) -> dict[str, Any]:
    return {
        "bootstrap.servers": ",".join(f"{host}:{port}" for host, port in at.hosts),
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",  # as Java's producers do, so that a key has one partition whoever writes it
        "message.timeout.ms": round(timeout * 1000),
        "topic.metadata.propagation.max.ms": round(min(timeout, 5.0) * 1000),
        "compression.type": at.choice("compression", "none", "gzip", "snappy", "lz4", "zstd"),
        "linger.ms": 5,
        "delivery.report.only.error": True,
        "queue.buffering.max.messages": WINDOW,
        "queue.buffering.max.kbytes": WINDOW_KILOBYTES,
        "allow.auto.create.topics": False,
        **_security(at),
    }


def _security(at: Address) -> dict[str, Any]:
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
