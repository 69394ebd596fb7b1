"""Events as records of Kafka's protocol: each trouble made for real, each event where it belongs."""

from collections.abc import Callable, Iterator
from typing import NoReturn
from urllib.parse import urlsplit

import pytest
from confluent_kafka import KafkaError

from batchops.errors import UsageError
from batchops.outbox.sinks import SinkDownError
from batchops.outbox.sinks.kafka import refuses_login
from batchops.outbox.sinks.registry import sink_of
from tests.outbox.sinks.conftest import Open
from tests.outbox.sinks.limited import INVALID_RECORD, MESSAGE_TOO_LARGE, Limited
from tests.outbox.sinks.log import Topic
from tests.outbox.sinks.received import Received, kinds, message, messages, same
from tests.outbox.sinks.wire import Wire
from tests.services import kafka as service
from tests.services.private import Private, free_port
from tests.services.server import Missing, UnavailableError


@pytest.fixture
def private(without: Callable[[Missing], NoReturn]) -> Iterator[Private]:
    """A broker of the test's own."""
    try:
        made = service.private()
    except UnavailableError as error:
        without(Missing("kafka", str(error)))
    made.start()
    yield made
    made.remove()


@pytest.fixture
def limited(without: Callable[[Missing], NoReturn]) -> Iterator[tuple[Limited, Topic]]:
    """A way to a broker that refuses what the test says, and a topic there."""
    with Limited() as way:
        try:
            made = service.private(through=way.port)
        except UnavailableError as error:
            without(Missing("kafka", str(error)))
        host, _, port = service.bootstrap(made.url).partition(":")
        way.target = (host, int(port))
        made.start()
        yield way, Topic.new(f"127.0.0.1:{way.port}")
        made.remove()


@pytest.fixture
def mock() -> Iterator[Topic]:
    with service.mock_cluster("order") as bootstrap:
        yield Topic(bootstrap, "order")


def test_the_clients_own_cluster(mock: Topic, opened: Open) -> None:
    sink, sent = opened(mock.url), messages(mock, 500, keys=9)
    assert kinds(sink.send(sent)) == ["ok"] * 500
    assert same(sent, mock.received(500))


def test_no_such_topic_is_that_events_trouble(topic: Topic, opened: Open) -> None:
    """And holds back the key's event for another topic."""
    sent = [message("no-such-topic", 1, "a"), message(topic.topic, 2, "a"), message(topic.topic, 3, "b")]
    deliveries = opened(topic.url).send(sent)
    assert kinds(deliveries) == ["Refused", "Unsent", "ok"]
    assert "UNKNOWN_TOPIC_OR_PART" in str(deliveries[0])
    assert same(sent[2:], topic.received(1))


def test_too_large_is_final_and_holds_back_its_key(topic: Topic, opened: Open) -> None:
    first, large, later, other = (message(topic.topic, n, key) for n, key in ((1, "a"), (2, "a"), (3, "a"), (4, "b")))
    large = message(topic.topic, 2, "a", size=17_000_000)
    sink = opened(topic.url)
    assert kinds(sink.send([first, large, later, other])) == ["ok", "final", "Unsent", "ok"]
    assert kinds(sink.send([later])) == ["ok"]
    assert same([first, later, other], topic.received(3))


def poisoned(records: bytes) -> int:
    return INVALID_RECORD if b"poison" in records else 0


def test_one_record_that_its_broker_refuses(limited: tuple[Limited, Topic], opened: Open) -> None:
    """It comes in a request with others: they are taken, but for those that come after it in its key."""
    way, topic = limited
    way.judge = poisoned
    sent = messages(topic, 200, keys=4)
    bad = {sent[n].key: n for n in (13, 78)}
    for n in bad.values():
        sent[n] = sent[n]._replace(body=b"poison")
    expected = ["ok"] * 200
    for n, one in enumerate(sent):
        if n >= bad.get(one.key, 200):
            expected[n] = "final" if n in bad.values() else "Unsent"
    assert kinds(opened(topic.url).send(sent)) == expected
    taken = [m for m, kind in zip(sent, expected, strict=True) if kind == "ok"]
    assert same(taken, topic.received(len(taken)))


def test_nothing_is_under_way_behind_the_first_record_of_a_key(limited: tuple[Limited, Topic], opened: Open) -> None:
    """A broker that knows nothing of a producer takes a request of it with any number: also one after a refused one."""
    way, topic = limited
    way.judge = poisoned
    sent = messages(topic, 3_000, size=1_000)
    sent[0] = sent[0]._replace(body=b"poison")
    assert kinds(opened(topic.url).send(sent)) == ["final", *["Unsent"] * 2_999]
    assert (way.refused, way.passed) == (2, 0)


@pytest.mark.full
def test_a_topic_that_takes_less_than_a_request(limited: tuple[Limited, Topic], opened: Open) -> None:
    """Requests become smaller, once; a record that is too large by itself is refused, and nobody else."""
    way, topic = limited
    way.judge = lambda records: MESSAGE_TOO_LARGE if len(records) > 50_000 else 0
    sent = messages(topic, 1_000, keys=7, size=500)
    sink = opened(topic.url)
    for _ in range(12):
        assert kinds(sink.send(sent)) == ["ok"] * 1_000
    assert 1 <= way.refused <= 6, "those that were under way together, and then none"
    large = message(topic.topic, 1_001, sent[0].key, size=60_000)
    assert kinds(sink.send([large, sent[0], sent[1]])) == ["final", "Unsent", "ok"]
    assert same([*sent * 12, sent[1]], topic.received(12_001))


def test_killed_and_started_again(private: Private, opened: Open) -> None:
    """This broker keeps nothing over a kill: what counts is what was acknowledged, and by which life of it."""
    topic = Topic.new(service.bootstrap(private.url))
    sink = opened(topic.url + "?timeout=1s")
    assert kinds(sink.send(messages(topic, 20, keys=3))) == ["ok"] * 20
    private.stop()
    assert kinds(sink.send(messages(topic, 20, keys=3))) == ["Unsent"] * 20
    with pytest.raises(SinkDownError, match="no broker answers"):
        sink.send(messages(topic, 20))
    private.start()
    again = Topic.new(service.bootstrap(private.url))
    sent = messages(again, 20, keys=3)
    assert kinds(sink.send(sent)) == ["ok"] * 20
    assert same(sent, again.received(20))


@pytest.mark.full
def test_more_than_the_client_holds_and_nobody_there(private: Private, opened: Open) -> None:
    topic = Topic.new(service.bootstrap(private.url))
    sink, sent = opened(topic.url + "?timeout=500ms"), messages(topic, 50_000, keys=50_000)
    private.stop()
    assert set(kinds(sink.send(sent))) == {"Unsent"}


def test_a_silent_broker_is_given_up_on(topic: Topic, opened: Open) -> None:
    at = urlsplit(topic.url)
    with Wire(at.hostname or "", at.port or 9092) as wire:
        wire.deaf = True
        with pytest.raises(SinkDownError, match="no broker answers"):
            opened(f"kafka://127.0.0.1:{wire.port}?timeout=1s")


def test_nobody_there_and_no_tls_there(topic: Topic) -> None:
    with pytest.raises(SinkDownError, match="no broker answers"):
        sink_of(f"kafka://127.0.0.1:{free_port()}?timeout=500ms", {}).open()
    with pytest.raises(SinkDownError, match=r"TLS was refused|no broker answers"):
        sink_of(topic.url + "?tls=yes&timeout=1s", {}).open()


@pytest.mark.parametrize(
    ("code", "said", "refuses"),
    [
        (KafkaError.SASL_AUTHENTICATION_FAILED, "Authentication failed: invalid credentials", True),
        (KafkaError._AUTHENTICATION, "SASL authentication error: Authentication failed", True),
        (KafkaError._AUTHENTICATION, "SaslAuthenticateRequest failed: Local: Broker transport failure", False),
        (KafkaError._TRANSPORT, "Connection refused", False),
    ],
)
def test_a_login_that_is_refused_is_not_a_connection_that_ends_in_it(code: int, said: str, refuses: bool) -> None:
    assert refuses_login(KafkaError(code, said)) is refuses


def test_a_wrong_password_is_one_line_without_it(topic: Topic, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SinkDownError) as raised:
        sink_of(topic.url.replace("//", "//ann:S3CR3T@") + "?timeout=1s", {}).open()
    assert "S3CR3T" not in f"{raised.value!r} {raised.value.hint}"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "url", ["kafka://h/topic", "kafka://h?compression=x", "kafka://h?ca=nowhere", "kafka://h?acks=1"]
)
def test_addresses_that_cannot_be_used(url: str) -> None:
    with pytest.raises(UsageError):
        sink_of(url, {})


def test_one_topic_for_all(topic: Topic, opened: Open) -> None:
    sent = [message("ignored", n, f"k{n % 3}") for n in range(30)]
    assert kinds(opened(f"{topic.url}?topic={topic.topic}&compression=gzip").send(sent)) == ["ok"] * 30
    got = topic.received(30)
    assert same(sent, got)
    assert isinstance(got[0], Received)


def test_no_content_is_a_tombstone(topic: Topic, opened: Open) -> None:
    sent = [message(topic.topic, 1), message(topic.topic, 2)._replace(body=b"", null=True)]
    sent.append(message(topic.topic, 3)._replace(body=b""))
    assert list(opened(topic.url).send(sent)) == [None] * 3
    assert [one.body for one in topic.received(3)] == [sent[0].body, None, b""]
