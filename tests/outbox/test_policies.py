"""What becomes of events that a destination refuses, and of those that come after them."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.outbox.boxes import event, left, made, relay, saved
from tests.queues.jobs import here
from tests.services.database import Database
from tests.services.private import free_port
from tests.sinks.webhook import Request, Webhook

pytestmark = pytest.mark.in_turn
FAST = ("--backoff", "50ms", "--retry-time", "1s")


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as webhook:
        yield webhook


@pytest.fixture
def box(database: Database) -> Database:
    """Three events of each of a, b and c, in turn: ids 1 to 9."""
    made(database)
    saved(database, [event(key, n) for n in range(1, 4) for key in "abc"])
    return database


def refuses(webhook: Webhook, status: int, *numbers: int) -> None:
    """The events with these ids, with that status; anything else is taken."""
    ids = {str(number) for number in numbers}
    webhook.script = lambda request: status if request.event["id"] in ids else 204


def taken(webhook: Webhook) -> list[int]:
    return [int(request.event["id"]) for request in webhook.accepted]


def of(webhook: Webhook, key: str) -> list[int]:
    return [int(request.event["id"]) for request in webhook.accepted if request.event["subject"] == key]


def unsent(database: Database) -> list[int]:
    return [int(id_) for id_ in database.column("SELECT id FROM outbox WHERE sent_at IS NULL ORDER BY id")]


def shown(database: Database) -> Any:
    return here("outbox", "show", "--url", database.url, "--json").json()


def test_block_holds_back_its_aggregate_alone(box: Database, webhook: Webhook) -> None:
    refuses(webhook, 400, 2)
    done = relay(box, webhook.url, *FAST, "--max-attempts", "2")
    assert (done.code, done.json()["reason"], done.json()["left"]) == (3, "incomplete", 3), done
    assert (of(webhook, "a"), of(webhook, "b"), of(webhook, "c")) == ([1, 4, 7], [], [3, 6, 9])
    assert unsent(box) == [2, 5, 8]
    (told,) = shown(box)["events"]
    assert (told["event"], told["state"]) == ("2", "waiting")
    assert "400" in told["reason"]
    text = here("outbox", "show", "--url", box.url).out
    assert "400" in text
    assert "order:b" in text


def test_block_goes_on_once_it_is_taken(box: Database, webhook: Webhook) -> None:
    """A refusal that may pass is tried again after its pause, and what comes after it waits for that."""
    tries: list[str] = []

    def script(request: Request) -> int:
        tries.append(request.event["id"])
        return 503 if request.event["id"] == "2" and tries.count("2") < 3 else 204

    webhook.script = script
    process = relay(box, webhook.url, *FAST)
    for _ in range(20):
        if process.code == 0:
            break
        time.sleep(0.1)
        process = relay(box, webhook.url, *FAST)
    assert (process.code, left(box)) == (0, 0), process
    assert (of(webhook, "a"), of(webhook, "b"), of(webhook, "c")) == ([1, 4, 7], [2, 5, 8], [3, 6, 9])
    assert shown(box)["events"] == []


def test_park_key_and_put_it_back(box: Database, webhook: Webhook) -> None:
    refuses(webhook, 422, 5)
    done = relay(box, webhook.url, *FAST, "--on-failed", "park-key")
    assert (done.code, done.json()["parked"]) == (3, 1), done
    assert "1 row rejected, 2 left" in done.err
    assert unsent(box) == [5, 8]
    assert [(one["event"], one["state"], one["reason"]) for one in shown(box)["events"]] == [
        ("5", "parked", "HTTP 422")
    ]
    webhook.script = lambda _: 204
    again = relay(box, webhook.url, *FAST, "--on-failed", "park-key")
    assert (again.code, unsent(box)) == (3, [5, 8]), "parked is parked until a person says so"
    assert here("outbox", "redrive", "outbox", "--url", box.url, "--event", "5").code == 0
    assert relay(box, webhook.url, *FAST).code == 0
    assert (of(webhook, "b"), left(box)) == ([2, 5, 8], 0)


def test_dead_letter_lets_later_events_go_on(box: Database, webhook: Webhook) -> None:
    refuses(webhook, 422, 5)
    done = relay(box, webhook.url, *FAST, "--on-failed", "dead-letter")
    assert (done.code, done.json()["dead"]) == (3, 1), done
    assert unsent(box) == [5]
    assert of(webhook, "b") == [2, 8]
    assert [(one["event"], one["state"]) for one in shown(box)["events"]] == [("5", "dead")]
    webhook.script = lambda _: 204
    assert here("outbox", "redrive", "outbox", "--url", box.url, "--all").code == 0
    assert (relay(box, webhook.url, *FAST).code, of(webhook, "b"), left(box)) == (0, [2, 8, 5], 0)


def test_given_up_on_after_its_last_attempt(box: Database, webhook: Webhook) -> None:
    """A refusal that may pass counts as an attempt; the last of them ends it."""
    webhook.script = lambda request: 409 if request.event["id"] == "1" else 204
    for _ in range(40):
        done = relay(box, webhook.url, *FAST, "--on-failed", "dead-letter", "--max-attempts", "3")
        if shown(box)["refused"].get("dead"):
            break
        time.sleep(0.05)
    (told,) = shown(box)["events"]
    assert (told["state"], told["attempts"]) == ("dead", 3), done
    assert of(webhook, "a") == [4, 7]


def test_retry_after_is_kept(box: Database, webhook: Webhook) -> None:
    refuses(webhook, 503, 1)
    webhook.answer_headers = {"Retry-After": "60"}
    done = relay(box, webhook.url, *FAST)
    assert done.code == 3, done
    (told,) = shown(box)["events"]
    assert 50 < told["pause"] <= 60
    count = len(webhook.requests)
    assert relay(box, webhook.url, *FAST).code == 3
    assert len(webhook.requests) == count, "it was asked before its time"


@pytest.mark.parametrize("down", ["503", "nobody"])
def test_a_destination_that_is_down_is_no_events_fault(box: Database, webhook: Webhook, down: str) -> None:
    webhook.script = lambda _: 503
    to = webhook.url if down == "503" else f"http://127.0.0.1:{free_port()}/in"
    done = relay(box, to, *FAST)
    assert (done.code, done.json()["rows"]) == (75, 0), done
    assert "down" in done.err
    assert (shown(box)["events"], len(unsent(box))) == ([], 9)
    webhook.script = lambda _: 204
    assert (relay(box, webhook.url, *FAST).code, left(box)) == (0, 0)
    assert (of(webhook, "a"), of(webhook, "b"), of(webhook, "c")) == ([1, 4, 7], [2, 5, 8], [3, 6, 9])
    assert json.loads(webhook.accepted[0].body)["id"] == str(taken(webhook)[0])
