"""Events as messages of JetStream: each trouble made for real, each event where it belongs."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn
from urllib.parse import urlsplit

import pytest
from nats.aio.client import Client
from nats.js.api import DiscardPolicy

from batchops.errors import UsageError
from batchops.outbox.sinks import AccessRefusedError, Message, Sink, SinkDownError, nats
from batchops.outbox.sinks.registry import sink_of
from tests.outbox.sinks.conftest import Open
from tests.outbox.sinks.received import kinds, message, messages, same
from tests.outbox.sinks.subject import Subject
from tests.outbox.sinks.wire import Wire
from tests.services import nats as service
from tests.services.private import Private, free_port
from tests.services.server import Missing, UnavailableError
from tests.waiting import until


@pytest.fixture
def private(without: Callable[[Missing], NoReturn]) -> Iterator[Callable[[str], Private]]:
    """Servers of the test's own, by their configuration."""
    made: list[Private] = []

    def private(config: str = "") -> Private:
        try:
            made.append(service.private(config))
        except UnavailableError as error:
            without(Missing("nats", str(error)))
        made[-1].start()
        return made[-1]

    yield private
    for each in made:
        each.remove()


def test_no_stream_is_that_events_trouble(subject: Subject, opened: Open) -> None:
    """And holds back the key's event for another subject."""
    sent = [message("nobody.takes", 1, "a"), message(subject.topic, 2, "a"), message(subject.topic, 3, "b")]
    deliveries = opened(subject.url).send(sent)
    assert kinds(deliveries) == ["Refused", "Unsent", "ok"]
    assert "no stream takes its subject" in str(deliveries[0])
    assert same(sent[2:], subject.received(1))


def test_a_full_stream_is_the_servers_trouble(subject: Subject, opened: Open) -> None:
    small = Subject(subject.url, max_msgs=100, discard=DiscardPolicy.NEW)
    sink, sent = opened(small.url), messages(small, 160, keys=40)
    deliveries = sink.send(sent)
    assert kinds(deliveries).count("ok") == 100
    assert set(kinds(deliveries)) == {"ok", "Unsent"}
    assert "maximum messages" in str(deliveries)
    with pytest.raises(SinkDownError, match="maximum messages"):
        sink.send(messages(small, 170, keys=40)[160:])
    arrived = [one for one, delivery in zip(sent, deliveries, strict=True) if delivery is None]
    assert same(arrived, small.received(100))


def test_too_large_is_final(subject: Subject, opened: Open) -> None:
    """By the server's bound, which the client knows, and by the stream's own."""
    sink = opened(subject.url)
    sent = [message(subject.topic, 1), message(subject.topic, 2, "large", 1_100_000), message(subject.topic, 3)]
    assert kinds(sink.send(sent)) == ["ok", "final", "ok"]
    narrow = Subject(subject.url, max_msg_size=1_000)
    assert kinds(opened(narrow.url).send([message(narrow.topic, 1, size=2_000)])) == ["final"]


def test_sent_twice_it_is_stored_once(subject: Subject, opened: Open) -> None:
    sink, sent = opened(subject.url), messages(subject, 20, keys=3)
    assert kinds(sink.send(sent)) == kinds(sink.send(sent)) == ["ok"] * 20
    assert len(subject.received(20)) == 20
    assert subject.stored() == 20


def test_a_lost_acknowledgement(subject: Subject, opened: Open) -> None:
    """The server has it; sent again, it is known by its id."""
    at = urlsplit(subject.url)
    with Wire(at.hostname or "", at.port or 4222) as wire:
        sink = opened(subject.url.replace(f":{at.port}", f":{wire.port}") + "?timeout=2s")
        sent = messages(subject, 10, keys=10)
        wire.cut = lambda data: subject.stream.encode() in data
        assert set(kinds(sink.send(sent))) <= {"Unsent", "ok"}
        wire.cut = lambda _: False
        assert kinds(sink.send(sent)) == ["ok"] * 10
    assert same(sent, subject.received(10))


def test_killed_and_started_again(private: Callable[[str], Private], opened: Open) -> None:
    server = private("")
    subject = Subject(server.url)
    sink, sent = opened(server.url + "?timeout=2s"), messages(subject, 60, keys=6)
    assert kinds(sink.send(sent[:20])) == ["ok"] * 20
    server.stop()
    assert "no answer" in refused(sink, sent[20:40])
    server.start()
    assert kinds(sink.send(sent[20:])) == ["ok"] * 40
    assert same(sent, subject.received(60))


def test_a_client_that_does_not_close(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the server takes nothing any more: the thread ends all the same."""

    async def hang(client: Client) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            client._transport._io_writer.transport.abort()  # the test leaves no socket behind

    sink = sink_of(subject.url, {})
    sink.open()
    monkeypatch.setattr(nats, "SPARE", 0.05)
    monkeypatch.setattr(Client, "close", hang)
    before = [thread for thread in threading.enumerate() if thread.name == "batchops-nats"]
    sink.close()
    until(lambda: not any(thread.is_alive() for thread in before))
    assert before


def refused(sink: Sink, sent: Sequence[Message]) -> str:
    """Why nothing goes out; the client may not have heard yet that its connection is gone, and then nothing does."""
    while True:
        try:
            assert kinds(sink.send(sent)) == ["Unsent"] * len(sent)
        except SinkDownError as error:
            return error.message


def test_a_wrong_password_is_one_line_without_it(private: Callable[[str], Private]) -> None:
    server = private('authorization { user: ann, password: "right" }')
    for userinfo in ("ann:S3CR3T@", "S3CR3T@", ""):
        with pytest.raises(AccessRefusedError, match="user or password is refused") as raised:
            sink_of(server.url.replace("//", f"//{userinfo}"), {}).open()
        assert "S3CR3T" not in f"{raised.value!r} {raised.value.hint}"
    sink = sink_of(server.url.replace("//", "//ann:right@"), {})
    sink.open()
    sink.close()


def test_nobody_there_and_no_tls_there(subject: Subject) -> None:
    with pytest.raises(SinkDownError, match="no answer"):
        sink_of(f"nats://127.0.0.1:{free_port()}?timeout=1s", {}).open()
    with pytest.raises(SinkDownError, match="TLS was refused"):
        sink_of(subject.url + "?tls=yes&timeout=1s", {}).open()


def test_what_no_header_can_hold(subject: Subject, opened: Open) -> None:
    sent = [message(subject.topic, 1, "a\nb"), message(f"{subject.stream}.*", 2, "c"), message(subject.topic, 3, "d")]
    assert kinds(opened(subject.url).send(sent)) == ["final", "final", "ok"]


@pytest.mark.parametrize("url", ["nats://h/subject", "nats://h?tls=maybe", "nats://h?ca=nowhere", "nats://h?x=1"])
def test_addresses_that_cannot_be_used(url: str) -> None:
    with pytest.raises(UsageError):
        sink_of(url, {})


def test_a_line_that_only_the_server_finds_too_long(
    subject: Subject, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the connection without naming the event, which is found once each goes alone."""
    monkeypatch.setattr("batchops.outbox.sinks.nats.LONGEST_SUBJECT_BYTES", 10**9)
    sink, sent = opened(subject.url), messages(subject, 5, keys=5)
    sent[1] = sent[1]._replace(topic=f"{subject.stream}.{'x' * 5_000}")
    refused, left = list[str](), sent
    for _ in range(5):
        said = kinds(sink.send(left))
        refused += [one.id for one, kind in zip(left, said, strict=True) if kind == "Refused"]
        left = [one for one, kind in zip(left, said, strict=True) if kind == "Unsent"]
    assert (left, refused) == ([], ["id-2"])
    assert same([one for one in sent if one.id != "id-2"], subject.received(4))
