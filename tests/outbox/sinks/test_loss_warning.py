"""Whether a destination keeps what it acknowledges, as far as it tells: asked of each, and nothing changed by it."""

from collections.abc import Callable

import pytest
from nats.js.api import StorageType
from pika.exceptions import ChannelClosedByBroker

from batchops.outbox.sinks import WarnsOfLoss
from batchops.outbox.sinks.registry import sink_of
from tests.outbox.sinks.conftest import Open
from tests.outbox.sinks.queue import Queue
from tests.outbox.sinks.received import messages
from tests.outbox.sinks.subject import Subject
from tests.services import rabbitmq
from tests.services import redis as redis_service
from tests.services.private import free_port
from tests.services.server import Server

Service = Callable[[str], Server]


def loss_warning(opened: Open, url: str, topic: str) -> str | None:
    sink = opened(url)
    assert isinstance(sink, WarnsOfLoss)
    return sink.loss_warning(topic)


def test_redis_without_its_file(opened: Open) -> None:
    lasting, fleeting = redis_service.private(), redis_service.private("--appendonly", "no")
    try:
        lasting.start(), fleeting.start()
        assert loss_warning(opened, lasting.url, "s") is None
        assert "keeps no append-only file" in str(loss_warning(opened, fleeting.url, "s"))
    finally:
        lasting.remove(), fleeting.remove()


def test_a_stream_in_memory(service: Service, opened: Open) -> None:
    url = service("nats").url
    lasting, fleeting = Subject(url), Subject(url, storage=StorageType.MEMORY)
    assert loss_warning(opened, url, lasting.topic) is None
    assert loss_warning(opened, url, "no.such.subject") is None
    assert f"stream {fleeting.stream} is in the memory of one server" in str(loss_warning(opened, url, fleeting.topic))
    assert "in the memory" in str(loss_warning(opened, f"{url}?subject={fleeting.topic}", "whatever"))


def test_a_queue_that_is_not_durable(service: Service, opened: Open) -> None:
    url = service("rabbitmq").url
    lasting = [Queue(url), Queue(url, x_max_length=5), Queue(url, x_queue_type="quorum")]
    fleeting = Queue(url, durable=False)
    assert [loss_warning(opened, url, queue.topic) for queue in lasting] == [None] * 3
    assert f'queue "{fleeting.topic}" is not durable' in str(loss_warning(opened, url, fleeting.topic))
    assert loss_warning(opened, f"{url}?exchange=amq.topic", fleeting.topic) is None


def test_it_makes_no_queue(service: Service, opened: Open) -> None:
    url = service("rabbitmq").url
    assert loss_warning(opened, url, "batchops.no-such-queue") is None
    with rabbitmq.connect(url) as connection, pytest.raises(ChannelClosedByBroker, match="NOT_FOUND"):
        connection.channel().queue_declare("batchops.no-such-queue", passive=True)


@pytest.mark.parametrize("scheme", ["nats", "redis", "amqp"])
def test_nobody_there(scheme: str) -> None:
    """It was there when the events were acknowledged; that it is not any more is for the next ones to find out."""
    sink = sink_of(f"{scheme}://127.0.0.1:{free_port()}", {})
    assert isinstance(sink, WarnsOfLoss)
    assert sink.loss_warning("t") is None


def test_what_was_sent_is_not_touched(service: Service, opened: Open) -> None:
    queue = Queue(service("rabbitmq").url, durable=False)
    sink = opened(queue.url)
    sink.send(messages(queue, 3))
    assert isinstance(sink, WarnsOfLoss)
    assert sink.loss_warning(queue.topic) is not None
    assert len(queue.received(3)) == 3
    assert list(sink.send(messages(queue, 2))) == [None, None]
