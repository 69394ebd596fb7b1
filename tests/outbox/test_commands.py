"""Looking at an outbox, proving its order, sending events again, letting refused ones be tried again."""

import time
from pathlib import Path

import pytest

from tests.command import here
from tests.outbox.boxes import delivered, event, made, plain, relay, saved
from tests.services.database import Database

pytestmark = pytest.mark.in_turn
HOURS_AGO = {
    "postgresql": "now() - interval '3 hours'",
    "mysql": "now() - interval 3 hour",
    "sqlite": "datetime('now', '-3 hours')",
}


def outbox(database: Database, word: str, *args: str) -> object:
    return here("outbox", word, "outbox", "--url", database.url, *args)


def test_show(database: Database, tmp_path: Path) -> None:
    made(database)
    saved(database, [event("a", 1), event("a", 2), event("a", 3), event("b", 1)])
    fresh = here("outbox", "show", "--url", database.url, "--json").json()
    assert (fresh["backlog"], fresh["waiting"], fresh["refused"], fresh["relays"]) == (4, 0, {}, [])
    assert 0 <= fresh["oldest_seconds"] < 120
    assert relay(database, f"file:{tmp_path / 'out'}", "--max-rows", "3").json()["rows"] == 3
    text = here("outbox", "show", "--url", database.url).out
    assert "1 events to be sent, the oldest for" in text
    assert "refused   none" in text
    assert "shards have no running relay" in text


def test_check_proves_what_the_relay_did(database: Database, tmp_path: Path) -> None:
    made(database)
    saved(database, [event(f"o{n % 3}", n) for n in range(30)])
    assert relay(database, f"file:{tmp_path / 'out'}").code == 0
    proved = here("outbox", "check", "--url", database.url, "--json")
    assert (proved.code, {one["exit"] for one in proved.json()["findings"]}) == (0, {0}), proved


def test_check_finds_what_was_skipped_and_what_was_inverted(database: Database, tmp_path: Path) -> None:
    made(database)
    saved(database, [event("o", n) for n in range(5)])
    assert relay(database, f"file:{tmp_path / 'out'}").code == 0
    ids = database.column("SELECT id FROM outbox ORDER BY id")
    database.execute(f"UPDATE outbox SET sent_at = NULL WHERE id = {ids[1]}")
    skipped = here("outbox", "check", "--url", database.url, "--json")
    assert skipped.code == 13
    assert [one["events"] for one in skipped.json()["findings"] if one["exit"] == 13] == [[str(ids[1])]]
    database.execute(f"UPDATE outbox SET sent_at = {HOURS_AGO[database.backend]} WHERE id = {ids[1]}")
    inverted = here("outbox", "check", "--url", database.url)
    assert (inverted.code, "inverted" in inverted.out, str(ids[1]) in inverted.out) == (13, True, True), inverted


def test_what_a_plain_table_cannot_prove(database: Database, tmp_path: Path) -> None:
    plain(database)
    saved(database, [event("o", n) for n in range(3)])
    assert relay(database, f"file:{tmp_path / 'out'}").code == 0
    told = here("outbox", "check", "--url", database.url)
    assert (told.code, "cannot be proved" in told.out) == (3, True), told


def test_replay_leaves_the_marks_alone(database: Database, tmp_path: Path) -> None:
    made(database)
    saved(database, [event(f"o{n % 2}", n) for n in range(20)])
    assert relay(database, f"file:{tmp_path / 'out'}").code == 0
    saved(database, [event("o0", 99)])  # not sent yet: no matter of a replay
    marks = "SELECT id, sent_at FROM outbox ORDER BY id"
    before = database.rows(marks)
    again = tmp_path / "again"
    to = ("--to", f"file:{again}", "--json")
    one = outbox(database, "replay", *to, "--only-aggregate", "o1")
    assert (one.code, one.json()["rows"]) == (0, 10), one
    first = delivered(tmp_path / "out")
    assert delivered(again) == [line for line in first if line["key"] == "o1"]
    assert database.rows(marks) == before
    recent = outbox(database, "replay", *to, "--since", "1h")
    assert recent.json()["rows"] == 20
    database.execute(
        f"UPDATE outbox SET sent_at = {HOURS_AGO[database.backend]} WHERE aggregate_id = 'o0' AND sent_at IS NOT NULL"
    )
    assert outbox(database, "replay", *to, "--since", "1h").json()["rows"] == 10
    assert outbox(database, "replay", *to, "--until", "1h", "--only-type", "Paid").json()["rows"] == 10


def test_replay_keeps_its_rate(sqlite: Database, tmp_path: Path) -> None:
    made(sqlite)
    saved(sqlite, [event("o", n) for n in range(60)])
    assert relay(sqlite, f"file:{tmp_path / 'out'}").code == 0
    begun = time.monotonic()
    done = outbox(sqlite, "replay", "--to", f"file:{tmp_path / 'again'}", "--all-events", "--rate", "60", "--json")
    assert (done.code, done.json()["rows"]) == (0, 60), done
    assert time.monotonic() - begun >= 0.8, "the last batch alone may be early"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "which events?"),
        (("--all-events", "--only-aggregate", "o"), "which events?"),
        (("--since", "yesterday-ish"), "yesterday-ish"),
        (("--all-events", "--rate", "0"), "rate"),
    ],
)
def test_replay_says_what_is_wrong(sqlite: Database, args: tuple[str, ...], words: str) -> None:
    made(sqlite)
    refused = outbox(sqlite, "replay", "--to", "-", *args)
    assert (refused.code, words in refused.err.lower()) == (2, True), refused


def test_redrive_wants_to_know_which(database: Database) -> None:
    made(database)
    assert outbox(database, "redrive").code == 2
    assert outbox(database, "redrive", "--all").code == 0
