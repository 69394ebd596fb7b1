"""Each kind of destination, with a place in it of the test's own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from batchops.outbox.sinks import Sink
from batchops.outbox.sinks.registry import sink_of
from tests.outbox.sinks.log import Topic
from tests.outbox.sinks.queue import Queue
from tests.outbox.sinks.received import Receiver
from tests.outbox.sinks.stream import Stream
from tests.outbox.sinks.subject import Subject
from tests.outbox.sinks.webhook import Webhook
from tests.services import kafka as kafka_service
from tests.services.server import Server

Open = Callable[..., Sink]


@pytest.fixture
def opened() -> Iterator[Open]:
    """`opened(url, **environ)`: a sink that is open, and closed after the test."""
    with ExitStack() as stack:

        def opened(url: str, **environ: str) -> Sink:
            sink = sink_of(url, environ)
            stack.callback(sink.close)
            sink.open()
            return sink

        yield opened


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as webhook:
        yield webhook


@pytest.fixture
def stream(service: Callable[[str], Server]) -> Stream:
    return Stream(service("redis").url)


@pytest.fixture
def topic(service: Callable[[str], Server]) -> Topic:
    return Topic.new(kafka_service.bootstrap(service("kafka").url))


@pytest.fixture
def subject(service: Callable[[str], Server]) -> Subject:
    return Subject(service("nats").url)


@pytest.fixture
def queue(service: Callable[[str], Server]) -> Queue:
    return Queue(service("rabbitmq").url)


@pytest.fixture(params=["webhook", "stream", "topic", "subject", "queue"])
def receiver(request: pytest.FixtureRequest) -> Receiver:
    """Of each kind in turn."""
    found: Receiver = request.getfixturevalue(request.param)
    return found
