"""What becomes of events that a destination refuses, and of those that come after them: by relays as users run them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.command import Batchops, Result, here
from tests.outbox.boxes import event, left, made, saved
from tests.outbox.sinks.webhook import Webhook
from tests.services.database import Database
from tests.services.private import free_port

pytestmark = pytest.mark.in_turn
FAST = ("--backoff", "10ms", "--retry-timeout", "1s")
OUTAGE_SECONDS = "900ms"
"""Time for a first batch, for a probe, and for what follows a probe."""


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


class Relays:
    """Relays of one outbox to one server, each a process of its own."""

    def __init__(self, batchops: Batchops, box: Database, webhook: Webhook) -> None:
        self._batchops = batchops
        self._box = box
        self.to = webhook.url.partition("?")[0]

    def __call__(self, *args: str) -> Result:
        to = ("--url", self._box.url, "--to", self.to, "--json")
        return self._batchops("relay", "outbox", *to, *FAST, *args)

    def until(self, code: int, *args: str) -> Result:
        """Again and again, as from cron, until one ends like that."""
        for _ in range(20):
            done = self(*args)
            if done.code == code:
                return done
        raise AssertionError(f"none ended with {code}: {done}")


@pytest.fixture
def relays(batchops: Batchops, box: Database, webhook: Webhook) -> Relays:
    return Relays(batchops, box, webhook)


def refuses(webhook: Webhook, status: int, *numbers: int) -> None:
    """The events with these ids, with that status; anything else is taken."""
    ids = {str(number) for number in numbers}
    webhook.script = lambda request: status if request.event["id"] in ids else 204


def taken(webhook: Webhook) -> tuple[list[int], ...]:
    """The ids of what was taken of a, b and c, in the order in which it came."""
    came = [(request.event["subject"], int(request.event["id"])) for request in webhook.accepted]
    return tuple([id_ for key, id_ in came if key == one] for one in "abc")


WHOLE = ([1, 4, 7], [2, 5, 8], [3, 6, 9])


def asked(webhook: Webhook, number: int) -> int:
    """How often that event was brought."""
    return sum(request.event["id"] == str(number) for request in webhook.requests)


def unsent(database: Database) -> list[int]:
    return [int(id_) for id_ in database.column("SELECT id FROM outbox WHERE sent_at IS NULL ORDER BY id")]


def shown(database: Database) -> Any:
    return here("outbox", "show", "--url", database.url, "--json").json()


def states(database: Database) -> list[tuple[str, str, int, str]]:
    told = shown(database)["events"]
    return [(one["event"], one["state"], one["attempts"], one["reason"]) for one in told]


def redriven(database: Database, *which: str) -> str:
    done = here("outbox", "redrive", "outbox", "--url", database.url, *which)
    assert done.code == 0, done
    return done.out


def test_block_holds_back_its_aggregate_alone(box: Database, webhook: Webhook, relays: Relays) -> None:
    """The end says which event, why, and what to do; that done, what waited goes out in its order."""
    refuses(webhook, 400, 2)
    done = relays("--max-attempts", "2")
    told = done.json()
    assert (done.code, told["reason"], told["left"], told["rejected"]) == (3, "incomplete", 3, 0), done
    assert (taken(webhook), unsent(box)) == (([1, 4, 7], [], [3, 6, 9]), [2, 5, 8])
    assert states(box) == [("2", "waiting", 1, "HTTP 400")]
    again = relays()
    assert (again.code, asked(webhook, 2)) == (3, 1), "it rests"
    for said in (told["error"], again.json()["error"]):
        assert said["message"] == "Event 2 of order:b was refused: HTTP 400."
        assert "later events of its aggregate wait" in said["hint"]
        assert "batchops outbox redrive outbox --event 2;" in said["hint"]
    assert "order:b" in here("outbox", "show", "--url", box.url).out
    webhook.script = lambda _: 204
    assert "1 events are tried again" in redriven(box, "--event", "2")
    end = relays()
    assert (end.code, end.json()["error"], unsent(box)) == (0, None, []), end
    assert (taken(webhook), states(box)) == (WHOLE, [])


def test_block_goes_on_by_itself(box: Database, webhook: Webhook, relays: Relays) -> None:
    """A refusal that may pass is tried again after its pause, more often than --max-attempts; what follows waits."""
    webhook.script = lambda request: 503 if request.event["id"] == "2" and asked(webhook, 2) < 4 else 204
    relays.until(0, "--max-attempts", "2")
    assert (taken(webhook), left(box), states(box), asked(webhook, 2)) == (WHOLE, 0, [], 4)


def test_hold_key_after_its_last_attempt_and_redrive_it(box: Database, webhook: Webhook, relays: Relays) -> None:
    refuses(webhook, 409, 5)
    policy = ("--on-failed", "hold-key", "--max-attempts", "2")
    done = relays(*policy)
    while "waiting" in shown(box)["refused"]:
        done = relays(*policy)
    assert (done.code, done.json()["held"], done.json()["rejected"]) == (3, 1, 1), done
    assert (unsent(box), states(box)) == ([5, 8], [("5", "held", 2, "HTTP 409")])
    box.execute("UPDATE batchops_failed SET state = 'parked'")  # as an earlier version called it
    webhook.script = lambda _: 204
    again = relays(*policy)
    assert (again.code, unsent(box), asked(webhook, 5)) == (3, [5, 8], 2), "parked is parked until a person says so"
    assert again.json()["error"]["message"] == "Event 5 of order:b was refused: HTTP 409."
    assert "until somebody puts it back" in again.json()["error"]["hint"]
    assert redriven(box, "--all", "-n") == "outbox: 1 event would be tried again: 5.\n"
    assert redriven(box, "--event", "6", "--dry-run") == "outbox: 0 events would be tried again.\n"
    assert states(box) == [("5", "held", 2, "HTTP 409")]
    redriven(box, "--event", "5")
    assert relays(*policy).code == 0
    assert (taken(webhook), left(box), states(box)) == (WHOLE, 0, [])


def test_dead_letter_lets_later_events_go_on(box: Database, webhook: Webhook, relays: Relays) -> None:
    refuses(webhook, 422, 5)
    done = relays("--on-failed", "dead-letter")
    assert (done.code, done.json()["dead_letters"], done.json()["rejected"]) == (3, 1, 1), done
    assert "were sent without it" in done.json()["error"]["hint"]
    assert (unsent(box), states(box)) == ([5], [("5", "dead", 1, "HTTP 422")])
    assert taken(webhook) == ([1, 4, 7], [2, 8], [3, 6, 9])
    assert relays("--on-failed", "dead-letter").code == 0, "it is given up on, and holds up nobody"
    assert asked(webhook, 5) == 1
    webhook.script = lambda _: 204
    redriven(box, "--all")
    assert relays().code == 0
    assert (taken(webhook)[1], left(box), states(box)) == ([2, 8, 5], 0, [])


def test_retry_after_is_kept(box: Database, webhook: Webhook, relays: Relays) -> None:
    refuses(webhook, 503, 1)
    webhook.answer_headers = {"Retry-After": "60"}
    assert relays().code == 3
    (told,) = shown(box)["events"]
    assert 30 < told["pause"] <= 60
    again = relays()
    assert (again.code, asked(webhook, 1), unsent(box)) == (3, 1, [1, 4, 7]), "it was asked before its time"
    assert "a relay tries it again in " in again.json()["error"]["hint"]


@pytest.mark.wide(1)
@pytest.mark.parametrize("how", ["503", "429", "500", "cut", "nobody"])
def test_a_destination_that_is_down_is_no_events_fault(
    box: Database, webhook: Webhook, relays: Relays, how: str
) -> None:
    """Also where one event alone, sent to see whether it is back, cannot tell whose fault it is."""
    webhook.script = lambda _: None if how == "cut" else int(how)
    there = relays.to
    if how == "nobody":
        relays.to = f"http://127.0.0.1:{free_port()}/in"
    done = relays("--max-attempts", "1", "--on-failed", "dead-letter", "--retry-timeout", OUTAGE_SECONDS)
    told = done.json()
    assert (done.code, told["reason"], told["rows"], told["failed"]) == (75, "busy", 0, 0), done
    assert "down" in told["error"]["message"]
    assert "run the same command again" in told["error"]["hint"]
    assert how != "nobody" or done.err.count("Connection refused. It is tried again for up to ") == 1, done.err
    assert (states(box), len(unsent(box)), webhook.accepted) == ([], 9, [])
    webhook.script, relays.to = lambda _: 204, there
    assert (relays().code, taken(webhook), left(box)) == (0, WHOLE, 0)
    assert json.loads(webhook.accepted[0].body)["subject"] in "abc"
