"""Troubles of real brokers on the way out of an outbox: marked is what was acknowledged, and nothing else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from nats.js.api import DiscardPolicy

from batchops.outbox import Event
from tests.command import here
from tests.outbox.boxes import made, relay, saved
from tests.outbox.sinks.queue import Queue
from tests.outbox.sinks.received import Receiver
from tests.outbox.sinks.stream import Stream
from tests.outbox.sinks.subject import Subject
from tests.outbox.sinks.webhook import Webhook
from tests.outbox.sinks.wire import Wire
from tests.outbox.test_brokers import RECEIVERS
from tests.services import redis as redis_service
from tests.services.database import Database
from tests.services.server import Server

pytestmark = pytest.mark.in_turn
Service = Callable[[str], Server]
FAST = ("--backoff", "50ms", "--retry-timeout", "1s")
ONCE = (*FAST, "--max-attempts", "1")
ROOM = 12
ACKNOWLEDGED = {"redis": b"QUEUED", "rabbitmq": b"\x00\x3c\x00\x50", "nats": b'"seq"'}
"""What stands in an answer that says that something was taken; RabbitMQ's is the method basic.ack."""


def kept(database: Database, topic: str, other: str = "", most: int = 40, keys: int = 20) -> None:
    """So many events, whose type names where they go; each third of them goes elsewhere, if there is an elsewhere."""
    made(database)
    types = [other if other and n % 3 == 0 else topic for n in range(1, most + 1)]
    saved(database, [Event("order", f"o{n % keys}", type_, {"n": n}) for n, type_ in enumerate(types)])


def marked(database: Database) -> set[str]:
    return {str(id_) for id_ in database.column("SELECT id FROM outbox WHERE sent_at IS NOT NULL")}


def ids(receiver: Receiver) -> list[str]:
    return [one.id for one in receiver.everything()]


@pytest.mark.wide(1)
@pytest.mark.parametrize("broker", ["rabbitmq", "nats", "kafka"])
def test_what_goes_nowhere_is_not_marked(service: Service, database: Database, broker: str) -> None:
    """No queue, no stream, no topic takes it: that is told of those events, and the others go out."""
    receiver = RECEIVERS[broker](service(broker).url)
    kept(database, receiver.topic, "no.such.place", keys=40)
    done = relay(database, f"{receiver.url}?timeout=2s", "--topic", "{event_type}", *ONCE, "--on-failed", "dead-letter")
    assert (done.code, done.json()["rows"]) == (3, 27), done
    assert marked(database) == set(ids(receiver))
    assert len(marked(database)) == 27
    sent_nowhere = "SELECT count(*) FROM outbox WHERE event_type = 'no.such.place' AND sent_at IS NOT NULL"
    assert database.scalar(sent_nowhere) == 0


SMALL: dict[str, Callable[[str], Receiver]] = {
    "rabbitmq": lambda url: Queue(url, x_max_length=ROOM, x_overflow="reject-publish"),
    "nats": lambda url: Subject(url, max_msgs=ROOM, discard=DiscardPolicy.NEW),
}


@pytest.mark.parametrize("broker", SMALL)
def test_a_full_broker_has_what_is_marked(service: Service, database: Database, broker: str) -> None:
    """It takes some of a batch and then no more: no event is to blame, no attempt counts, the run says try later."""
    receiver = SMALL[broker](service(broker).url)
    kept(database, receiver.topic)
    done = relay(database, receiver.url, "--topic", receiver.topic, *FAST)
    assert (done.code, done.json()["rows"], done.json()["failed"]) == (75, ROOM, 0), done
    got = ids(receiver)
    assert (len(got), set(got)) == (ROOM, marked(database))
    assert "once it is back" in done.err


@contextmanager
def through(receiver: Receiver) -> Iterator[tuple[Wire, str]]:
    at = urlsplit(receiver.url)
    with Wire(at.hostname or "", at.port or 0) as wire:
        yield wire, receiver.url.replace(f":{at.port}", f":{wire.port}")


@pytest.mark.parametrize("broker", ["redis", "rabbitmq", "nats"])
def test_a_lost_acknowledgement_is_a_repeat_with_the_same_id(service: Service, database: Database, broker: str) -> None:
    """The first answer after the messages were sent never arrives: they go again, and none is missing."""
    receiver = RECEIVERS[broker](service(broker).url)
    kept(database, receiver.topic)
    with through(receiver) as (wire, url):
        wire.cut = lambda data: wire.cuts == 0 and ACKNOWLEDGED[broker] in data
        done = relay(database, url, "--topic", receiver.topic, "--batch-size", "20", "--retry-timeout", "20s")
    assert (done.code, wire.cuts) == (0, 1), done
    assert len(marked(database)) == 40
    got = ids(receiver)
    assert set(got) == marked(database)


@pytest.mark.wide(2)
@pytest.mark.parametrize(("broker", "size"), [("rabbitmq", 2_100_000), ("nats", 1_100_000), ("kafka", 17_000_000)])
def test_too_large_is_told_once_and_holds_nobody_else(
    service: Service, database: Database, broker: str, size: int
) -> None:
    receiver = RECEIVERS[broker](service(broker).url)
    made(database)
    saved(database, [Event("order", "a", "Paid", "x" * (size if n == 2 else 10)) for n in range(1, 4)])
    saved(database, [Event("order", "b", "Paid", "x")])
    args = ("--topic", receiver.topic, *FAST, "--on-failed", "hold-key")
    done = relay(database, receiver.url, *args)
    assert (done.code, done.json()["held"]) == (3, 1), done
    assert marked(database) == set(ids(receiver)) == {"1", "4"}
    assert "x" * 50 not in done.err


def test_a_broker_that_forgets_is_told_of_and_replay_mends_it(database: Database) -> None:
    """It acknowledges and is killed: what it had is gone, as the relay has said, and comes again from the table."""
    server = redis_service.private("--appendonly", "no")
    try:
        server.start()
        stream = Stream(server.url)
        kept(database, stream.topic)
        done = relay(database, stream.url, "--topic", stream.topic, *FAST)
        assert (done.code, done.err.count("keeps no append-only file")) == (0, 1), done
        before = ids(stream)
        server.stop()
        server.start()
        assert ids(stream) == []
        to = ("--url", database.url, "--to", stream.url, "--topic", stream.topic, "--all-events")
        again = here("outbox", "replay", "outbox", *to)
        assert (again.code, sorted(ids(stream))) == (0, sorted(before)), again
        assert "keeps no append-only file" in again.err
    finally:
        server.remove()


@pytest.mark.wide(2)
@pytest.mark.parametrize(
    ("broker", "right", "wrong", "words"),
    [
        ("rabbitmq", "//guest:guest@", "//ann:S3CR3T@", "the user or password is refused"),
        ("rabbitmq", "%2F", "nowhere", "the user has no access to this virtual host"),
        ("redis", "//", "//ann:S3CR3T@", "the user or password is refused"),
        ("redis", "/0", "/9999", "it has no database of that number"),
    ],
)
def test_a_connection_that_is_refused_to_this_user_ends_even_a_relay_that_stays(
    database: Database, service: Service, broker: str, right: str, wrong: str, words: str
) -> None:
    """Waiting does not help: 10 at once, in one line without the password, and no word of an outage."""
    made(database)
    saved(database, [Event("order", "a", "Paid", "x")])
    url = service(broker).url
    url = url if right in url else f"{url.rstrip('/')}/0"
    done = relay(database, url.replace(right, wrong), *FAST, "--poll", "1s")
    assert (done.code, done.json()["reason"]) == (10, "unreachable"), done
    assert words in done.json()["error"]["message"]
    assert "is down" not in done.err
    assert "S3CR3T" not in done.err + done.out
    assert marked(database) == set()


def test_a_replay_ends_at_once_where_its_connection_is_refused(database: Database, service: Service) -> None:
    kept(database, "t", most=6)
    assert relay(database, "file:/dev/null").code == 0
    to = service("redis").url.replace("//", "//ann:S3CR3T@")
    done = here("outbox", "replay", "outbox", "--url", database.url, "--to", to, "--all-events", "--json")
    assert (done.code, done.json()["reason"]) == (10, "unreachable"), done
    assert "S3CR3T" not in done.err + done.out


def test_credentials_that_http_refuses_end_even_a_relay_that_stays(database: Database) -> None:
    kept(database, "t", most=6)
    with Webhook() as webhook:
        for status in (401, 403):
            webhook.script = lambda _, status=status: status  # type: ignore[misc]  # each its own
            done = relay(database, webhook.url, *FAST, "--poll", "1s")
            assert (done.code, done.json()["failed"]) == (10, 0), done
            assert f"it refuses the credentials (HTTP {status})" in done.json()["error"]["message"]
    assert marked(database) == set()


def test_a_template_of_a_missing_column(database: Database) -> None:
    made(database)
    refused = relay(database, "file:/dev/null", "--topic", "{no_such}")
    assert (refused.code, "no_such" in refused.out) == (2, True), refused
