"""What idle workers ask of a database: little, however large the queue is."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from batchops.db.database import Database as Reached
from batchops.db.database import connect
from batchops.db.urls import address
from batchops.outbox.failures import RefusedEvents
from batchops.outbox.resolve import Chosen, find_outbox
from batchops.outbox.tables import OutboxTables
from batchops.runtime.idle import SHARE, Due
from tests.outbox.boxes import event, made, relay, saved
from tests.services.database import Database


@pytest.fixture
def reached(sqlite: Database) -> Iterator[Reached]:
    database = connect(address(sqlite.url, {}))
    yield database
    database.close()


class Slow:
    """A look at a large queue, by a clock of its own."""

    def __init__(self, takes: float, due: float | None) -> None:
        self.now = 0.0
        self.asked = 0
        self._takes = takes
        self._due = due

    def __call__(self, connection: sa.Connection) -> float | None:
        assert not connection.closed
        self.asked += 1
        self.now += self._takes
        return self._due

    def clock(self) -> float:
        return self.now


def test_a_dear_look_is_not_made_again_at_each_rest(reached: Reached) -> None:
    look = Slow(takes=1.0, due=120.0)
    due = Due(reached, look, look.clock)
    assert due() == 120.0
    for _ in range(40):  # rests of several workers
        look.now += 1.0
        due()
    assert look.asked == 1
    assert due() == 80.0
    look.now += SHARE
    due()
    assert look.asked == 2


def test_what_is_overdue_and_could_not_be_claimed_keeps_nobody_busy(reached: Reached) -> None:
    look = Slow(takes=1.0, due=5.0)
    due = Due(reached, look, look.clock)
    assert due() == 5.0
    look.now += 6.0
    assert due() is None


@pytest.mark.in_turn
def test_events_given_up_on_are_not_loaded_and_hold_nothing_up(database: Database, tmp_path: Path) -> None:
    made(database)
    saved(database, [event(f"a{n % 7}", n) for n in range(60)])
    assert relay(database, f"file:{tmp_path}/first", "--max-rows", "10").code == 0
    database.insert(
        "batchops_failed", ("relation", "event", "aggregate", "state", "attempts", "next_at", "failure"),
        [("outbox", str(n), f"order:a{(n - 1) % 7}", "dead", 5, 0.0, "no") for n in range(11, 41)],
    )  # fmt: skip
    reached = connect(address(database.url, {}))
    with reached.reading() as connection:
        outbox = find_outbox(connection, reached, "outbox", Chosen({}))
        failures = RefusedEvents(reached, OutboxTables(reached, None).failed, outbox)
        failures.load(connection)
    reached.close()
    assert (failures.some, failures.holding, failures.attempts("11")) == (True, False, 0)
    done = relay(database, f"file:{tmp_path}/second", "--poll", "50ms", "--max-rows", "20")
    assert (done.code, done.json()["rows"]) == (0, 20), done
    came = [json.loads(line)["id"] for line in (tmp_path / "second").read_text().splitlines()]
    assert [int(one) for one in came] == list(range(41, 61))
