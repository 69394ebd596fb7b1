"""What every sink promises, tried on each."""

from collections import Counter

import pytest

from batchops.errors import UsageError
from batchops.sinks.make import sink_of
from tests.sinks.conftest import Open
from tests.sinks.received import Receiver, kinds, message, messages, same


def test_it_delivers_each_keys_events_in_order(receiver: Receiver, opened: Open) -> None:
    sink, sent = opened(receiver.url), messages(receiver, 300, keys=7)
    deliveries = [*sink.send(sent[:100]), *sink.send(sent[100:])]
    assert Counter(kinds(deliveries)) == {"ok": 300}
    assert same(sent, receiver.received(300))


def test_id_headers_and_body_travel(receiver: Receiver, opened: Open) -> None:
    sent = message(receiver.topic, 1, "Ähre/7")
    assert list(opened(receiver.url).send([sent])) == [None]
    (got,) = receiver.received(1)
    assert (got.id, got.key, got.body) == (sent.id, sent.key, sent.body)
    assert got.headers["kind"] == "test"


def test_nothing_to_send_is_nothing(receiver: Receiver, opened: Open) -> None:
    assert list(opened(receiver.url).send([])) == []


def test_it_opens_twice_and_closes_twice(receiver: Receiver, opened: Open) -> None:
    sink = opened(receiver.url)
    sink.open()
    sink.close()
    sink.close()
    sink.open()
    assert list(sink.send(messages(receiver, 2))) == [None, None]
    assert len(receiver.received(2)) == 2


def test_it_sends_without_being_opened_first(receiver: Receiver) -> None:
    sink = sink_of(receiver.url, {})
    assert list(sink.send(messages(receiver, 1))) == [None]
    sink.close()


def test_an_unknown_option_is_named(receiver: Receiver) -> None:
    mark = "#" if receiver.url.startswith("http") else "&" if "?" in receiver.url else "?"
    with pytest.raises(UsageError, match='no option "timeoutt"') as raised:
        sink_of(f"{receiver.url}{mark}timeoutt=3s", {})
    assert "did you mean timeout?" in raised.value.hint


def test_a_topic_with_a_nul_is_that_events_fault_alone(receiver: Receiver, opened: Open) -> None:
    good, bad = messages(receiver, 2, keys=2)
    sent = [good, message("a\0b", 3, "other"), bad]
    assert kinds(opened(receiver.url).send(sent)) == ["ok", "final", "ok"]
    assert same([good, bad], receiver.received(2))
