"""Events as messages of RabbitMQ: each trouble made for real, each event where it belongs."""

from collections.abc import Callable, Iterator
from typing import NoReturn
from urllib.parse import urlsplit

import pytest

from batchops.errors import UsageError
from batchops.outbox.sinks import AccessRefusedError, SinkDownError
from batchops.outbox.sinks.registry import sink_of
from tests.outbox.sinks.conftest import Open
from tests.outbox.sinks.queue import Queue
from tests.outbox.sinks.received import kinds, message, messages, same
from tests.outbox.sinks.wire import Wire
from tests.services import rabbitmq as service
from tests.services.private import Private, free_port
from tests.services.server import Missing, UnavailableError


@pytest.fixture(scope="module")
def private(without: Callable[[Missing], NoReturn]) -> Iterator[Private]:
    """A broker of this module's own, to be killed and alarmed; it takes seconds to start."""
    try:
        made = service.private()
    except UnavailableError as error:
        without(Missing("rabbitmq", str(error)))
    made.start()
    yield made
    made.remove()


def test_unroutable_is_that_events_trouble(queue: Queue, opened: Open) -> None:
    """And holds back the key's event for another queue."""
    sent = [message("no-such-queue", 1, "a"), message(queue.topic, 2, "a"), message(queue.topic, 3, "b")]
    deliveries = opened(queue.url).send(sent)
    assert kinds(deliveries) == ["Refused", "Unsent", "ok"]
    assert 'no queue takes it (NO_ROUTE): declare a queue "no-such-queue"' in str(deliveries[0])
    (unbound,) = opened(queue.url + "?exchange=amq.topic").send([message("shop.order", 4, "c")])
    assert 'bind a queue to exchange "amq.topic" for the routing key "shop.order"' in str(unbound)
    assert same(sent[2:], queue.received(1))


def test_a_full_queue_confirms_the_opposite(queue: Queue, opened: Open) -> None:
    """What it did take is marked, and nothing else; of a key that was held up nothing later arrives."""
    small = Queue(queue.url, x_max_length=100, x_overflow="reject-publish")
    sink, sent = opened(queue.url), messages(small, 160, keys=40)
    deliveries = sink.send(sent)
    assert set(kinds(deliveries)) == {"ok", "Unsent"}
    assert kinds(deliveries).count("ok") == 100
    arrived = [one for one, delivery in zip(sent, deliveries, strict=True) if delivery is None]
    with pytest.raises(SinkDownError, match="a queue is full"):
        sink.send(messages(small, 200, keys=40)[160:])
    assert same(arrived, small.received(100))


def test_no_such_exchange(queue: Queue, opened: Open) -> None:
    sink = opened(queue.url + "?exchange=nowhere")
    with pytest.raises(SinkDownError, match="no exchange 'nowhere'") as raised:
        sink.send(messages(queue, 3))
    assert "exchange=NAME" in raised.value.hint
    assert kinds(opened(queue.url).send(messages(queue, 3))) == ["ok"] * 3


def test_an_event_that_is_too_large(private: Private, opened: Open) -> None:
    """The broker closes the channel without saying for which; the next call finds out."""
    queue = Queue(private.url)
    sink = opened(queue.url)
    sent = [
        message(queue.topic, 1, "a"),
        message(queue.topic, 2, "b", service.LARGEST + 1),
        message(queue.topic, 3, "c"),
    ]
    assert "final" not in kinds(sink.send(sent))
    second = sink.send(sent)
    assert kinds(second)[1] == "final"
    assert "larger than" in str(second[1])
    assert kinds(sink.send([sent[0], sent[2]])) == ["ok", "ok"]


@pytest.mark.full
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pika, asked whether it is up again
def test_killed_and_started_again(private: Private, opened: Open) -> None:
    queue = Queue(private.url)
    service.write_definitions(private)
    sink, sent = opened(queue.url), messages(queue, 60, keys=6)
    assert kinds(sink.send(sent[:20])) == ["ok"] * 20
    private.stop()
    with pytest.raises(SinkDownError):
        sink.send(sent[20:40])
    with pytest.raises(SinkDownError, match="Connection refused"):
        sink.send(sent[20:40])
    private.start()
    assert kinds(sink.send(sent[20:])) == ["ok"] * 40
    assert same(sent, queue.received(60))


@pytest.mark.full
def test_an_alarm_blocks_whoever_publishes(private: Private, opened: Open) -> None:
    queue = Queue(private.url)
    sink = opened(queue.url + "?timeout=1s")
    service.control(private, "set_vm_memory_high_watermark", "absolute", "1")
    try:
        with pytest.raises(SinkDownError, match="alarm"):
            sink.send(messages(queue, 3))
    finally:
        service.control(private, "set_vm_memory_high_watermark", "0.4")
    sink = opened(queue.url)
    assert kinds(sink.send(messages(queue, 6)[3:])) == ["ok"] * 3


@pytest.mark.full
def test_a_lost_confirm(queue: Queue, opened: Open) -> None:
    """The broker has them; sent again they are duplicates with the same ids, in their order."""
    at = urlsplit(queue.url)
    with Wire(at.hostname or "", at.port or 5672) as wire:
        sink = opened(queue.url.replace(f":{at.port}", f":{wire.port}"))
        sent = messages(queue, 10, keys=10)
        wire.cut = lambda _: True
        with pytest.raises(SinkDownError):
            sink.send(sent)
        assert wire.cuts == 1
        wire.cut = lambda _: False
        assert kinds(sink.send(sent)) == ["ok"] * 10
    got = queue.received(20)
    assert {one.id for one in got} == {one.id for one in sent}
    assert 10 <= len(got) <= 20, "what was on its way when the wire was cut arrives once or twice"


def test_a_wrong_password_is_one_line_without_it(queue: Queue) -> None:
    for url, words in (
        (queue.url.replace("//guest:guest@", "//guest:S3CR3T@"), "user or password is refused"),
        (queue.url.replace("%2F", "S3CR3T"), "no access to this virtual host"),
    ):
        with pytest.raises(AccessRefusedError, match=words) as raised:
            sink_of(url, {}).open()
        assert "S3CR3T" not in f"{raised.value!r} {raised.value.hint}"


def test_nobody_there_and_no_tls_there(queue: Queue) -> None:
    with pytest.raises(SinkDownError, match="Connection refused"):
        sink_of(f"amqp://127.0.0.1:{free_port()}", {}).open()
    with pytest.raises(SinkDownError, match="TLS was refused"):
        sink_of(queue.url.replace("amqp:", "amqps:"), {}).open()


@pytest.mark.parametrize("url", ["amqp://h?ca=x", "amqps://h?ca=nowhere", "amqp://h?exchnge=x", "amqp://h/a%00b"])
def test_addresses_that_cannot_be_used(url: str) -> None:
    with pytest.raises(UsageError):
        sink_of(url, {})


PROPERTIES = {
    "content_type": "application/json", "type": "Paid", "timestamp": "2026-01-31T10:00:00+02:00", "priority": "7",
    "correlation_id": "c-1", "app_id": "shop",
}  # fmt: skip


def test_properties_are_the_brokers_own_fields(queue: Queue, opened: Open) -> None:
    assert list(opened(queue.url).send([message(queue.topic, 1)._replace(properties=PROPERTIES)])) == [None]
    with service.connect(queue.url) as connection:
        _, got, _ = connection.channel().basic_get(queue.topic, auto_ack=True)
    assert (got.content_type, got.type, got.timestamp, got.priority) == ("application/json", "Paid", 1769846400, 7)
    assert (got.correlation_id, got.app_id) == ("c-1", "shop")


@pytest.mark.parametrize(
    "bad",
    [{"priority": "256"}, {"timestamp": "soon"}, {"type": "x" * 256}, {"content_type": "a\0b"}, {"expiration": "1h"}],
)
def test_a_property_that_cannot_be_is_that_events_fault(queue: Queue, opened: Open, bad: dict[str, str]) -> None:
    sent = messages(queue, 3, keys=3)
    sent[1] = sent[1]._replace(properties=bad)
    deliveries = opened(queue.url).send(sent)
    assert kinds(deliveries) == ["ok", "final", "ok"]
    assert next(iter(bad)) in str(deliveries[1])


def test_a_frame_that_only_the_broker_finds_too_large(
    queue: Queue, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the connection without naming the event, which is found once each goes alone."""
    monkeypatch.setattr("batchops.outbox.sinks.rabbitmq_properties._ALWAYS_FITS", 10**9)
    sink, sent = opened(queue.url), messages(queue, 5, keys=5)
    sent[1] = sent[1]._replace(headers={"stacktrace": "x" * 200_000})
    first = kinds(sink.send(sent))
    assert "final" not in first
    again = [one for one, kind in zip(sent, first, strict=True) if kind == "Unsent"]
    second = sink.send(again)
    assert [one.id for one, kind in zip(again, kinds(second), strict=True) if kind == "final"] == ["id-2"]
    left = [one for one, kind in zip(again, kinds(second), strict=True) if kind == "Unsent"]
    assert kinds(sink.send(left)) == ["ok"] * len(left)
