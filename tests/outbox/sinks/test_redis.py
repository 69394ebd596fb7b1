"""Events as entries of Redis streams: each trouble made for real, each event where it belongs."""

from collections.abc import Callable, Iterator
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pytest
import redis
from redis._parsers import Encoder
from redis.connection import PythonRespSerializer

from batchops.errors import UsageError
from batchops.outbox.sinks import AccessRefusedError, Message, SinkDownError
from batchops.outbox.sinks.redis_commands import CommandPacker
from batchops.outbox.sinks.registry import sink_of
from tests.outbox.sinks.conftest import Open
from tests.outbox.sinks.received import kinds, message, messages, same
from tests.outbox.sinks.stream import Stream
from tests.outbox.sinks.webhook import Webhook
from tests.outbox.sinks.wire import Wire
from tests.services import redis as service
from tests.services.private import Private, free_port
from tests.services.server import Missing, UnavailableError


@pytest.fixture
def private(without: Callable[[Missing], NoReturn]) -> Iterator[Callable[..., Private]]:
    """Servers of the test's own, by their settings; each starts in milliseconds."""
    made: list[Private] = []

    def private(*settings: str) -> Private:
        try:
            made.append(service.private(*settings))
        except UnavailableError as error:
            without(Missing("redis", str(error)))
        made[-1].start()
        return made[-1]

    yield private
    for each in made:
        each.remove()


def admin(url: str) -> Any:
    return redis.Redis.from_url(url, decode_responses=True)


def test_the_wrong_type_is_one_streams_trouble(stream: Stream, opened: Open) -> None:
    """And holds back the key's event for another stream."""
    admin(stream.url).set(f"{stream.topic}:text", "x")
    deliveries = opened(stream.url).send(
        [message(f"{stream.topic}:text", 5, "a"), message(stream.topic, 6, "a"), message(stream.topic, 7, "b")]
    )
    assert kinds(deliveries) == ["Refused", "Unsent", "ok"]
    assert "WRONGTYPE" in str(deliveries[0])


def test_full_memory_is_the_servers_trouble(private: Callable[..., Private], opened: Open) -> None:
    server = private("--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
    stream = Stream(server.url)
    sink, sent, got = opened(server.url), messages(stream, 6_000, keys=50, size=500), []

    def fill() -> None:
        for start in range(0, len(sent), 400):
            got.extend(sink.send(sent[start : start + 400]))

    with pytest.raises(SinkDownError, match="memory is full") as raised:
        fill()
    assert "maxlen" in raised.value.hint
    stored = stream.received(0)
    assert len(stored) == kinds(got).count("ok")
    admin(server.url).config_set("maxmemory", 0)
    assert same(sent[: len(got)], stored)
    assert kinds(sink.send(sent[len(got) : len(got) + 100])) == ["ok"] * 100


def test_a_replica_takes_nothing(private: Callable[..., Private], opened: Open) -> None:
    primary = private()
    replica = private("--replicaof", "127.0.0.1", str(urlsplit(primary.url).port))
    with pytest.raises(SinkDownError, match="read-only replica") as raised:
        opened(replica.url).send([message("t", 1)])
    assert "name the primary" in raised.value.hint


def test_a_wrong_password_is_one_line_without_it(private: Callable[..., Private]) -> None:
    server = private()
    admin(server.url).config_set("requirepass", "right")
    for userinfo in (":S3CR3T@", "ann:S3CR3T@", ""):
        with pytest.raises(AccessRefusedError, match="user or password is refused") as raised:
            sink_of(server.url.replace("//", f"//{userinfo}"), {}).open()
        assert "S3CR3T" not in f"{raised.value!r} {raised.value.hint}"
    sink = sink_of(server.url.replace("//", "//:right@"), {})
    assert list(sink.send([message("t", 1)])) == [None]
    sink.close()


@pytest.mark.parametrize(
    ("wanted", "words"), [("//ann:pw@", "ping"), ("/99", "no database of that number")], ids=["command", "database"]
)
def test_a_connection_of_no_use_is_refused_at_once(private: Callable[..., Private], wanted: str, words: str) -> None:
    server = private()
    admin(server.url).acl_setuser("ann", enabled=True, passwords=["+pw"], commands=["+xadd"], reset=True)
    url = server.url.rstrip("/").removesuffix("/0")
    url = url + wanted if wanted == "/99" else url.replace("//", wanted)
    with pytest.raises(AccessRefusedError, match=words) as raised:
        sink_of(url, {}).open()
    assert "pw" not in f"{raised.value!r}"


def test_what_the_user_may_not_write_is_that_events_trouble(stream: Stream, opened: Open) -> None:
    """A command that is refused takes its whole transaction along; tried alone, the others go through."""
    name = stream.topic.rpartition(":")[2]
    admin(stream.url).acl_setuser(
        name, enabled=True, passwords=["+pw"], keys=[stream.topic], commands=["+@all"], reset=True
    )
    try:
        sink = opened(stream.url.replace("//", f"//{name}:pw@"))
        sent = [*messages(stream, 4, keys=4), message("elsewhere", 9, "other")]
        assert kinds(sink.send(sent)) == ["Unsent"] * 5
        again = sink.send(sent)
        assert kinds(again) == ["ok"] * 4 + ["Refused"]
        assert '"number"' not in str(again[-1])
        assert same(sent[:4], stream.received(4))
    finally:
        admin(stream.url).acl_deluser(name)


def test_an_entry_that_is_too_large(private: Callable[..., Private], opened: Open) -> None:
    """The server hangs up on it; the next call finds out which event it was."""
    server = private("--proto-max-bulk-len", "1048576")
    stream = Stream(server.url)
    sink = opened(server.url)
    sent = [*messages(stream, 3, keys=3), message(stream.topic, 4, "large", size=2_000_000)]
    assert kinds(sink.send(sent)) == ["Unsent"] * 4
    assert kinds(sink.send(sent)) == ["ok", "ok", "ok", "Refused"]
    assert same(sent[:3], stream.received(3))
    assert kinds(sink.send(messages(stream, 2))) == ["ok", "ok"]


def test_a_lost_answer_is_not_an_acknowledgement(stream: Stream, opened: Open) -> None:
    """The server has them; the second time they are duplicates, whole and in order."""
    at = urlsplit(stream.url)
    with Wire(at.hostname or "", at.port or 6379) as wire:
        sink = opened(stream.url.replace(f":{at.port}", f":{wire.port}"))
        sent = messages(stream, 40, keys=4)
        wire.cut = lambda data: b"*40\r\n" in data  # the answer to EXEC: by then they are there
        assert kinds(sink.send(sent)) == ["Unsent"] * 40
        assert wire.cuts == 1
        wire.cut = lambda _: False
        assert kinds(sink.send(sent)) == ["ok"] * 40
    got = stream.received(80)
    assert len(got) == 80
    assert same(sent, got[:40])
    assert same(sent, got[40:])


def test_a_silent_server_is_given_up_on(stream: Stream, opened: Open) -> None:
    at = urlsplit(stream.url)
    with Wire(at.hostname or "", at.port or 6379) as wire:
        sink = opened(stream.url.replace(f":{at.port}", f":{wire.port}") + "?timeout=200ms")
        wire.deaf = True
        assert kinds(sink.send(messages(stream, 3))) == ["Unsent"] * 3
        with pytest.raises(SinkDownError):
            sink.send(messages(stream, 3))


def test_killed_and_started_again(private: Callable[..., Private], opened: Open) -> None:
    server = private()
    stream = Stream(server.url)
    sink, sent = opened(server.url), messages(stream, 60, keys=6)
    assert kinds(sink.send(sent[:20])) == ["ok"] * 20
    server.stop()
    assert kinds(sink.send(sent[20:40])) == ["Unsent"] * 20
    with pytest.raises(SinkDownError, match="Connection refused"):
        sink.send(sent[20:40])
    server.start()
    assert kinds(sink.send(sent[20:])) == ["ok"] * 40
    assert same(sent, stream.received(60))


def test_nobody_there_and_no_tls_there(webhook: Webhook, stream: Stream) -> None:
    with pytest.raises(SinkDownError, match="Connection refused"):
        sink_of(f"redis://127.0.0.1:{free_port()}", {}).open()
    with pytest.raises(SinkDownError, match=r"TLS was refused|no answer"):
        sink_of(stream.url.replace("redis:", "rediss:") + "?timeout=2s", {}).open()
    with pytest.raises(SinkDownError):
        sink_of(webhook.url.partition("/in")[0].replace("http:", "redis:"), {}).open()


def test_one_stream_for_all_and_trimmed(stream: Stream, opened: Open) -> None:
    sent = [Message(str(n), "ignored", "k", {}, b"") for n in range(1_000)]
    sink = opened(f"{stream.url}?stream={stream.topic}&maxlen=100")
    assert kinds(sink.send(sent)) == ["ok"] * 1_000
    assert 100 <= len(stream.received(100)) < 400


@pytest.mark.parametrize(
    "url", ["redis://h/x", "redis://h,i/0", "redis://h?maxlen=0", "redis://h?ca=x", "rediss://h?ca=x"]
)
def test_addresses_that_cannot_be_used(url: str) -> None:
    with pytest.raises(UsageError):
        sink_of(url, {})


def test_commands_are_written_as_the_client_writes_them() -> None:
    encode = Encoder("utf-8", "strict", decode_responses=False).encode
    own = PythonRespSerializer(6_000, encode)
    for command in [
        ("XADD", "stream ä", "MAXLEN", "~", 10, "*", "", b"", "body", b"\0\r\n" * 5_000),
        ("CLIENT SETINFO", "LIB-NAME", "x y"), ("SELECT", 3, 1.5, 2**63),
    ]:  # fmt: skip
        assert b"".join(CommandPacker().pack(*command)) == b"".join(own.pack(*command))
