"""From the outbox to real brokers: what was committed arrives, each aggregate in order, whoever is killed meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest

from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.figures import Figures
from tests.outbox.boxes import event, made, relay, saved
from tests.outbox.sinks.log import Topic
from tests.outbox.sinks.queue import Queue
from tests.outbox.sinks.received import Received, Receiver
from tests.outbox.sinks.stream import Stream
from tests.outbox.sinks.subject import Subject
from tests.outbox.sinks.webhook import Webhook
from tests.outbox.test_order import LONG, MANY, Killed, until_sent
from tests.outbox.writers import aggregates, verdict, write
from tests.services import kafka, nats, rabbitmq, redis
from tests.services.database import Database
from tests.services.private import Private
from tests.services.server import Missing, Server, UnavailableError

RECEIVERS: dict[str, Callable[[str], Receiver]] = {
    "redis": Stream, "nats": Subject, "rabbitmq": Queue, "kafka": lambda url: Topic.new(kafka.bootstrap(url)),
}  # fmt: skip
PRIVATE: dict[str, Callable[[], Private]] = {
    "redis": redis.private, "nats": nats.private, "rabbitmq": rabbitmq.private, "kafka": kafka.private,
}  # fmt: skip
KEEPS = ("redis", "nats", "rabbitmq")
"""Those that keep over a kill what they acknowledged; the broker of Kafka's protocol is in memory."""


@pytest.mark.wide(2)
@pytest.mark.parametrize("broker", RECEIVERS)
def test_each_broker_gets_what_was_committed(
    service: Callable[[str], Server], postgresql: Database, broker: str
) -> None:
    receiver = RECEIVERS[broker](service(broker).url)
    made(postgresql)
    saved(postgresql, [event(f"o{n % 5}", n) for n in range(100)])
    done = relay(postgresql, receiver.url, "--topic", receiver.topic)
    assert (done.code, done.json()["rows"]) == (0, 100), done
    got = receiver.received(100)
    ids = [str(number) for number in postgresql.column("SELECT id FROM outbox ORDER BY id")]
    assert sorted(one.id for one in got) == sorted(ids)
    for key in {one.key for one in got}:
        mine = [int(one.id) for one in got if one.key == key]
        assert mine == sorted(mine)
    assert postgresql.scalar("SELECT count(*) FROM outbox WHERE sent_at IS NULL") == 0


@contextmanager
def bounced(server: Private, every: float) -> Iterator[list[float]]:
    """Killed with -9 and started again about so often; when."""
    over, times = threading.Event(), list[float]()

    def bounce() -> None:
        while not over.wait(every):
            server.stop()
            time.sleep(0.5)
            server.start()
            times.append(time.monotonic())

    thread = threading.Thread(target=bounce)
    thread.start()
    try:
        yield times
    finally:
        over.set()
        thread.join()


@pytest.fixture
def server(request: pytest.FixtureRequest, without: Callable[[Missing], NoReturn]) -> Iterator[Private]:
    """A broker of the test's own."""
    try:
        private = PRIVATE[request.param]()
    except UnavailableError as error:
        without(Missing(request.param, str(error)))
    private.start()
    yield private
    private.remove()


def came(received: Sequence[Received]) -> list[tuple[str, str, str]]:
    return [(one.id, one.key, one.body.decode()) for one in received]


@pytest.mark.parametrize("name", [pytest.param(name, marks=LONG) for name in ("postgresql", "mariadb")])
@pytest.mark.parametrize("server", KEEPS, indirect=True)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pika, asked whether it is up again
def test_brokers_bounced_and_relays_killed(
    batchops: Batchops, new_database: NewDatabase, server: Private, name: str, figures: Figures
) -> None:
    database = new_database(name)
    receiver: Any = RECEIVERS[server.name](server.url)
    made(database)
    aggregates(database, MANY.aggregates)
    killed = Killed(batchops, database, "--to", f"{receiver.url}", "--topic", receiver.topic)
    before = time.monotonic()
    with killed.while_working(3.0), bounced(server, 6.0) as bounces:
        write(database, MANY)
        until_sent(database)
    seconds = time.monotonic() - before
    assert killed.end() == [0]
    found = verdict(database, came(receiver.everything()))
    figures(events=MANY.events, seconds=seconds, kills=killed.kills, bounces=len(bounces), found=found)
    assert found.good, found


@pytest.mark.parametrize("name", [pytest.param(name, marks=LONG) for name in ("postgresql", "mariadb")])
@pytest.mark.parametrize("receiver", ["kafka", "mock", "http"], indirect=True)
def test_relays_killed(
    batchops: Batchops, new_database: NewDatabase, receiver: Receiver, name: str, figures: Figures
) -> None:
    """To brokers of Kafka's protocol, read without a group, and to an HTTP server."""
    database = new_database(name)
    made(database)
    aggregates(database, MANY.aggregates)
    killed = Killed(batchops, database, "--to", receiver.url, "--topic", receiver.topic)
    before = time.monotonic()
    with killed.while_working(3.0):
        write(database, MANY)
        until_sent(database)
    seconds = time.monotonic() - before
    assert killed.end() == [0]
    found = verdict(database, came(receiver.everything()))
    figures(events=MANY.events, seconds=seconds, kills=killed.kills, found=found)
    assert found.good, found


@pytest.fixture
def receiver(request: pytest.FixtureRequest, service: Callable[[str], Server]) -> Iterator[Any]:
    """`kafka` is the broker of Kafka's protocol, `mock` the cluster that its client brings along."""
    if request.param == "http":
        with Webhook() as webhook:
            yield webhook
    elif request.param == "mock":
        with kafka.mock_cluster("order") as bootstrap:
            yield Topic(bootstrap, "order")
    else:
        yield RECEIVERS[request.param](service(request.param).url)
