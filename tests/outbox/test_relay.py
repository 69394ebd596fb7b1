"""An outbox made, written to and relayed."""

from pathlib import Path

import pytest

from tests.conftest import NewDatabase
from tests.outbox.boxes import delivered, event, left, made, plain, relay, saved
from tests.services.database import FAMILIES, Database

pytestmark = pytest.mark.in_turn

EVERYWHERE = pytest.mark.parametrize("database", FAMILIES, indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest, new_database: NewDatabase) -> Database:
    return new_database(request.param)


@EVERYWHERE
def test_what_was_saved_is_relayed_and_marked(database: Database, tmp_path: Path) -> None:
    made(database)
    saved(database, [event(n % 7, n) for n in range(1_000)], lock=True)
    saved(database, [event("Ärger 🛒", 1, "plain text"), event("", 2, "[1]")])
    out = tmp_path / "out"
    done = relay(database, f"file:{out}", "--batch-size", "300")
    assert (done.code, done.err) == (0, done.err)
    told = done.json()
    assert (told["reason"], told["rows"], told["left"], told["backlog"]) == ("done", 1_002, 0, 0)
    lines = delivered(out)
    assert [line["id"] for line in lines] == [str(n) for n in range(1, 1_003)]
    assert lines[0] == {
        "id": "1", "topic": "order", "key": "0", "headers": {"event_type": "Paid", "aggregate_type": "order"},
        "body": '{"n": 0}',
    }  # fmt: skip
    assert [line["body"] for line in lines[-2:]] == ["plain text", "[1]"]
    assert left(database) == 0
    again = relay(database, f"file:{out}")
    assert (again.code, again.json()["rows"], len(delivered(out))) == (0, 0, 1_002)


@EVERYWHERE
def test_the_plain_form_is_understood(database: Database, tmp_path: Path) -> None:
    plain(database)
    saved(database, [event(n % 7, n) for n in range(100)])
    done = relay(database, f"file:{tmp_path}/out")
    assert (done.code, done.json()["rows"]) == (0, 100)
    assert database.scalar("SELECT count(*) FROM outbox WHERE NOT sent") == 0


@EVERYWHERE
def test_bytes_stay_what_they_are(database: Database, tmp_path: Path) -> None:
    made(database, "--payload", "binary")
    saved(database, [event(1, 1, b"\xff\x00\\x"), event(1, 2, b"[1]")])
    assert relay(database, f"file:{tmp_path}/out").code == 0
    assert [line.get("body") for line in delivered(tmp_path / "out")] == [None, "[1]"]


def test_an_outbox_that_is_there_gets_what_is_missing_beside_it(mariadb: Database) -> None:
    """The table that writers wait for each other at had another name in an earlier version."""
    plain(mariadb)
    mariadb.execute("CREATE TABLE batchops_turn (turn integer NOT NULL PRIMARY KEY)")
    mariadb.execute("INSERT INTO batchops_turn SELECT seq FROM seq_0_to_1023")
    for _ in range(2):
        made(mariadb)
    saved(mariadb, [event(n, n) for n in range(3)], lock=True)
    assert mariadb.scalar("SELECT count(*) FROM batchops_writer_lock") == 1024
    assert mariadb.rows("SHOW TABLES LIKE 'batchops_turn'") == []
