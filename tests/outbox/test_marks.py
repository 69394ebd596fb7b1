"""Marks of sent events that the table refuses: of one event its own failure, of all the end of the relay."""

from pathlib import Path

import pytest

from tests.outbox.boxes import delivered, event, made, relay, saved
from tests.services.database import Database

pytestmark = pytest.mark.in_turn
SENT = "NEW.sent_at IS NOT NULL"


def refuses(database: Database, when: str) -> None:
    """A trigger that raises as an event is marked."""
    head = "CREATE TRIGGER no BEFORE UPDATE ON outbox FOR EACH ROW"
    match database.backend:
        case "postgresql":
            raising = "BEGIN RAISE EXCEPTION 'not this one'; END"
            database.script(f"CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ {raising} $$;")
            database.execute(f"{head} WHEN ({when}) EXECUTE FUNCTION no()")
        case "mysql":
            signal = "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not this one'"
            database.execute(f"{head} IF {when} THEN {signal}; END IF")
        case _:
            database.execute(f"{head} WHEN {when} BEGIN SELECT RAISE(ABORT, 'not this one'); END")


@pytest.mark.wide(1)
@pytest.mark.parametrize("bad", [1, 7])
def test_a_mark_refused_for_one_event_is_that_events_failure(database: Database, bad: int, tmp_path: Path) -> None:
    made(database)
    saved(database, [event(f"a{n % 3}", n) for n in range(20)])
    refuses(database, f"{SENT} AND NEW.id = {bad}")
    out = tmp_path / "out"
    result = relay(database, f"file:{out}", "--batch-size", "5")
    document = result.json()
    assert (result.code, document["reason"], document["rows"], document["dead_letters"]) == (3, "incomplete", 19, 1), (
        document
    )
    assert "It was delivered but not marked: " in document["error"]["message"]
    assert len(delivered(out)) == 20
    again = relay(database, f"file:{out}")
    assert again.json()["rows"] == 0
    assert len(delivered(out)) == 20


def test_marks_that_are_all_refused_end_the_relay(database: Database, tmp_path: Path) -> None:
    made(database)
    saved(database, [event("a", n) for n in range(40)])
    refuses(database, f"{SENT} AND NEW.id > 10")
    out = tmp_path / "out"
    result = relay(database, f"file:{out}", "--batch-size", "10", "--poll", "100ms", "--max-time", "20s")
    document = result.json()
    assert (result.code, document["reason"], document["rows"]) == (3, "incomplete", 10), document
    assert "refuses the mark of a sent event" in document["error"]["message"]
    assert document["seconds"] < 19
    assert len(delivered(out)) <= 30


def test_a_table_that_takes_no_mark_at_all_is_told_before_anything_is_delivered(
    database: Database, tmp_path: Path
) -> None:
    made(database)
    saved(database, [event("a", n) for n in range(20)])
    refuses(database, SENT)
    out = tmp_path / "out"
    result = relay(database, f"file:{out}")
    assert (result.code, len(delivered(out))) == (12, 0), result
