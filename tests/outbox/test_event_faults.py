"""What is one event's fault, from the table to the destination: NULLs, headers that are none, letters of any kind."""

from pathlib import Path

import pytest

from batchops.outbox import Event
from tests.outbox.boxes import delivered, event, made, relay, saved
from tests.queue.jobs import here
from tests.services.database import Database

pytestmark = pytest.mark.in_turn


def test_an_event_without_an_aggregate_stands_for_itself(database: Database, tmp_path: Path) -> None:
    """In order with no other, under its own id; a refused one holds nothing back."""
    made(database)
    saved(database, [event("a", n) for n in range(4)])
    if database.backend == "sqlite":
        database.execute("CREATE TABLE free AS SELECT * FROM outbox")
        database.execute("DROP TABLE outbox")
        columns = "aggregate_type, aggregate_id, event_type, payload, headers, created_at, sent_at timestamp"
        database.execute(f"CREATE TABLE outbox (id integer PRIMARY KEY, {columns})")
        database.execute("INSERT INTO outbox SELECT * FROM free")
    else:
        loose = {
            "postgresql": "ALTER COLUMN aggregate_id DROP NOT NULL",
            "mysql": "MODIFY aggregate_id varchar(255) NULL",
        }
        database.execute(f"ALTER TABLE outbox {loose[database.backend]}")
    database.execute("UPDATE outbox SET aggregate_id = NULL WHERE id IN (2, 3, 4)")
    database.execute("UPDATE outbox SET headers = '[1]' WHERE id = 2")
    done = relay(database, f"file:{tmp_path}/out", "--on-failed", "wait")
    assert (done.code, done.json()["rows"]) == (3, 3), done
    assert [(line["id"], line["key"]) for line in delivered(tmp_path / "out")] == [("1", "a"), ("3", "3"), ("4", "4")]
    assert relay(database, f"file:{tmp_path}/out", "--key", "{aggregate_id}").code == 3


def test_no_content_is_not_an_empty_one(database: Database, tmp_path: Path) -> None:
    made(database)
    saved(database, [event("a", 1, ""), event("a", 2, "")])
    database.execute("UPDATE outbox SET payload = NULL WHERE id = 2")
    assert relay(database, f"file:{tmp_path}/out").code == 0
    assert [line["body"] for line in delivered(tmp_path / "out")] == ["", None]


HEADERS = {"": 0, "{}": 0, '{"x": "a"}': 0, "[]": 3, "x": 3, '{"x": "\\ud800"}': 3, "[" * 100_000: 3, '{"x": 1e999}': 0}


@pytest.mark.wide(2)
@pytest.mark.parametrize("headers", HEADERS, ids=lambda text: text[:12])
def test_headers_that_are_none(sqlite: Database, tmp_path: Path, headers: str) -> None:
    made(sqlite)
    saved(sqlite, [Event("order", "a", "Paid", "x"), Event("order", "b", "Paid", "y")])
    sqlite.execute("UPDATE outbox SET headers = :headers WHERE id = 1", headers=headers)
    done = relay(sqlite, f"file:{tmp_path}/out", "--on-failed", "dead-letter")
    assert done.code == HEADERS[headers], done
    assert len(delivered(tmp_path / "out")) == (1 if HEADERS[headers] else 2)


def test_properties_are_for_destinations_that_have_some(sqlite: Database, tmp_path: Path) -> None:
    made(sqlite)
    for to, text, words in (
        (f"file:{tmp_path}/out", "type=x", "has none"),
        ("amqp://h/", "tipe=x", "there are"),
        ("amqp://h/", "type", "like"),
    ):
        refused = here("relay", "outbox", "--url", sqlite.url, "--to", to, "--property", text)
        assert (refused.code, words in refused.err) == (2, True), refused
    plan = here("relay", "outbox", "--url", sqlite.url, "--to", "amqp://h/", "--property", "type={event_type}", "-n")
    assert (plan.code, "type={event_type}" in plan.out) == (0, True), plan
