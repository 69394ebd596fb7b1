"""What every sink promises, tried on each."""

from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest

import pytest

from batchops.errors import UsageError
from batchops.outbox.sinks import Message, Refused, Unsent
from batchops.outbox.sinks.registry import sink_of
from tests.outbox.sinks.conftest import Open
from tests.outbox.sinks.received import Receiver, kinds, message, messages, same


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
    assert 'did you mean "timeout"?' in raised.value.hint


def faulty(topic: str) -> Iterator[Message]:
    """Events that some destination cannot take, each of a key of its own: a good one, too, if it can."""
    good = message(topic, 1)
    for number, bad in enumerate(
        [
            {"headers": {"stacktrace": "x" * 200_000}}, {"headers": {"x": "ä" * 70_000}}, {"headers": {"x": "a\0b"}},
            {"headers": {"a\0b": "x"}}, {"headers": {"n" * 300: "x"}}, {"headers": {"": "x"}},
            {"headers": {"x": "a\r\nb: c"}}, {"headers": {"a b": "x"}}, {"topic": ""}, {"topic": "t" * 300},
            {"topic": "s" * 5_000}, {"topic": "a b"}, {"topic": "a.*"}, {"topic": ".."}, {"topic": "ä.ö"},
            {"key": "k\r\n"}, {"key": "k\0"}, {"id": "i" * 300}, {"id": "i\0"}, {"id": "i\n"},
        ],
        start=100,
    ):  # fmt: skip
        yield good._replace(**{"id": f"id-{number}", "key": f"bad{number}"} | bad)


def test_what_is_an_events_fault_is_that_events(receiver: Receiver, opened: Open) -> None:
    """It goes out or is refused with a reason; it ends no connection for good, and holds nobody else up."""
    sink, good = opened(receiver.url), messages(receiver, 60, keys=30)
    bad = list(faulty(receiver.topic))
    left = [one for pair in zip_longest(good[:30], bad) for one in pair if one is not None] + good[30:]
    taken, refused = list[Message](), dict[str, str]()
    for _ in range(60):
        deliveries = sink.send(left)
        taken += [one for one, delivery in zip(left, deliveries, strict=True) if delivery is None]
        refused |= {one.key: d.reason for one, d in zip(left, deliveries, strict=True) if isinstance(d, Refused)}
        left = [
            one for one, d in zip(left, deliveries, strict=True) if isinstance(d, Unsent) and one.key not in refused
        ]
        if not left:
            break
    assert left == []
    assert all(refused.values())
    assert {one.key for one in good}.isdisjoint(refused)
    arrived = [one for one in taken if one.topic == receiver.topic or receiver.url.startswith("http")]
    assert same(arrived, receiver.received(len(arrived)))


def test_any_letters_travel(receiver: Receiver, opened: Open) -> None:
    sent = Message("id-ä🛒", receiver.topic, "ключ", {"kind": "Geändert 🛒 100%"}, b'{"number": 1}')
    assert list(opened(receiver.url).send([sent])) == [None]
    (got,) = receiver.received(1)
    assert (got.id, got.key, got.body) == (sent.id, sent.key, sent.body)
    percent = "Ge%C3%A4ndert%20%F0%9F%9B%92%20100%25"
    assert got.headers["kind"] == (percent if receiver.url.startswith("http") else sent.headers["kind"])


def test_a_topic_with_a_nul_is_that_events_fault_alone(receiver: Receiver, opened: Open) -> None:
    good, bad = messages(receiver, 2, keys=2)
    sent = [good, message("a\0b", 3, "other"), bad]
    assert kinds(opened(receiver.url).send(sent)) == ["ok", "final", "ok"]
    assert same([good, bad], receiver.received(2))
