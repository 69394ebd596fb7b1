"""Rows that a backfill could not change, and that must not be changed twice: the next run takes up those alone."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from batchops.events import Rejected
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.databases.numbered import Job, numbered
from tests.databases.test_locked import QUICK, held
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

ROWS = 500
BAD = 60
"""Rows whose value is too small."""
REFUSE = {
    "postgresql": "ALTER TABLE t ADD CONSTRAINT positive CHECK (cents > 0)",
    "mysql": "ALTER TABLE t ADD CONSTRAINT positive CHECK (cents > 0)",
    "sqlite": "CREATE TRIGGER positive BEFORE UPDATE ON t WHEN NEW.cents <= 0 "
    "BEGIN SELECT RAISE(ABORT, 'positive'); END",
}
MEND = {
    "postgresql": "ALTER TABLE t DROP CONSTRAINT positive",
    "mysql": "ALTER TABLE t DROP CONSTRAINT positive",
    "sqlite": "DROP TRIGGER positive",
}
LOWER = {"all_rows": True, "set": ["cents = cents - 10"], "allow": ["triggers"], "max_rejected": 1_000}


@pytest.fixture
def table(database: Database) -> Database:
    numbered(database, ROWS, cents=("integer", f"CASE WHEN i <= {BAD} THEN 5 ELSE 100 END"))
    database.script(REFUSE[database.backend])
    return database


def values(database: Database) -> list[tuple[int, int]]:
    return [tuple(row) for row in database.rows("SELECT cents, count(*) FROM t GROUP BY cents ORDER BY cents")]


def test_the_next_run_takes_up_the_rows_that_were_refused(table: Database) -> None:
    job = Job(table, "backfill", **LOWER)
    first = job()
    assert (first.reason, first.exit, first.rejected, first.rows) == ("incomplete", 3, BAD, ROWS - BAD)
    table.script(MEND[table.backend])
    second = job()
    assert (second.reason, second.exit, second.run, second.rows) == ("done", 0, first.run, ROWS)
    assert second.rejected == 0
    assert values(table) == [(-5, BAD), (90, ROWS - BAD)]
    assert job().reason == "already-done"
    assert values(table) == [(-5, BAD), (90, ROWS - BAD)]


def test_what_is_refused_again_is_tried_again_and_counted_once(table: Database) -> None:
    job = Job(table, "backfill", **LOWER)
    job()
    table.execute("UPDATE t SET cents = 15 WHERE id <= 20")
    second = job()
    assert (second.reason, second.exit, second.rejected) == ("incomplete", 3, BAD - 20)
    assert sum(isinstance(event, Rejected) for event in job.events) == BAD - 20
    assert table.scalar("SELECT count(*) FROM batchops_rejected") == BAD - 20
    table.script(MEND[table.backend])
    assert job().reason == "done"
    assert values(table) == [(-5, BAD - 20), (5, 20), (90, ROWS - BAD)]


@pytest.mark.full
@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_rows_that_stayed_locked_are_taken_up_too(new_database: NewDatabase, name: str) -> None:
    database = new_database(name)
    numbered(database, ROWS, m=("integer", "0"))
    job = Job(database, "backfill", all_rows=True, set=["m = m + 1"], **QUICK)
    with held(database):
        first = job()
        assert (first.reason, first.exit, first.locked) == ("incomplete", 3, 3)
    second = job()
    assert (second.reason, second.run, second.rows, second.locked) == ("done", first.run, ROWS, 0)
    assert database.column("SELECT DISTINCT m FROM t") == [1]


@pytest.mark.full
def test_after_too_many_the_run_goes_on_and_tries_them_too(table: Database) -> None:
    job = Job(table, "backfill", **LOWER | {"max_rejected": 10, "batch_size": 5})
    first = job()
    assert (first.reason, first.exit) == ("max-rejected", 3)
    assert first.error is not None
    assert "positive" in first.error.message
    assert " (id=1, id=2, id=3 …)." in first.error.message
    table.script(MEND[table.backend])
    second = job()
    assert (second.reason, second.run, second.rows, second.rejected) == ("done", first.run, ROWS, 0)
    assert values(table) == [(-5, BAD), (90, ROWS - BAD)]


def test_on_the_command_line_as_it_was_told(table: Database, batchops: Batchops) -> None:
    words = (
        "backfill",
        "t",
        "--all-rows",
        "--set",
        "cents = cents - 10",
        "--allow",
        "triggers",
        "--url",
        table.url,
        "-y",
    )
    first = batchops(*words)
    assert (first.code, "to continue: batchops backfill" in first.out) == (3, True), first
    refused = next(line for line in first.out.splitlines() if line.startswith("error: "))
    assert refused.startswith(f"error: The database refused {BAD} of {ROWS} rows: "), first
    assert "positive" in refused, first
    assert refused.endswith(" (id=1, id=2, id=3 …)."), first
    assert "\nhint: fix the cause and run it again: it retries these rows alone; `batchops show 1` " in first.out, first
    planned = batchops(*words, "-n")
    assert f"{BAD} rows that it could not change are tried again" in planned.out, planned
    again = batchops(*words)
    assert (again.code, f"{BAD} rows rejected" in again.out, refused in again.out) == (3, True, True), again
    assert refused in batchops(*words, "-q").out
    document = batchops(*words, "--json").json()
    assert (f"error: {document['error']['message']}", document["error"]["code"]) == (refused, "incomplete")
    assert [(one["attempts"], one["names"][0]) for one in document["rejected_causes"]] == [(BAD, "id=1")]
    shown = batchops("show", "1", "--url", table.url)
    assert f"{BAD} × " in shown.out, shown
    assert "positive" in shown.out
    assert "(id=1, id=2, id=3 …)" in shown.out
    listed = batchops("show", "1", "--json", "--url", table.url).json()["rejections"]
    assert [(one["rows"], one["keys"][0]) for one in listed] == [(BAD, "id=1")]
    table.script(MEND[table.backend])
    assert batchops(*words, "--json").json()["rejected"] == 0
    assert "already done by run 1" in batchops(*words).out


def test_where_nobody_knows_the_rows_it_says_so_and_is_not_done(sqlite: Database, batchops: Batchops) -> None:
    """A run of an older version kept a count and no list."""
    numbered(sqlite, ROWS, m=("integer", "0"))
    words = ("backfill", "t", "--all-rows", "--set", "m = m + 1", "--url", sqlite.url, "-y")
    assert batchops(*words).code == 0
    sqlite.execute("UPDATE batchops_run SET state = 'incomplete'")
    sqlite.execute("UPDATE batchops_worker SET rows_rejected = 7")
    again = batchops(*words)
    assert (again.code, "all but 7 rows" in again.out + again.err) == (3, True), again
    assert sqlite.column("SELECT DISTINCT m FROM t") == [1]


def test_with_workers_side_by_side(postgresql: Database) -> None:
    numbered(postgresql, 50_000, cents=("integer", "CASE WHEN i % 700 = 0 THEN 5 ELSE 100 END"))
    postgresql.script(REFUSE["postgresql"])
    job = Job(postgresql, "backfill", workers=3, **LOWER)
    first = job()
    assert (first.reason, first.rejected) == ("incomplete", 71)
    postgresql.script(MEND["postgresql"])
    second = job()
    assert (second.reason, second.rows, second.rejected) == ("done", 50_000, 0)
    assert values(postgresql) == [(-5, 71), (90, 50_000 - 71)]


def test_with_the_ledger_elsewhere_they_are_kept_there(database: Database, tmp_path: Path) -> None:
    """As its hint says: the next run tries them too."""
    numbered(database, ROWS, cents=("integer", f"CASE WHEN i <= {BAD} THEN -5 ELSE 100 END"), m=("integer", "0"))
    database.script(REFUSE[database.backend].replace(" CHECK (cents > 0)", " CHECK (m = 0 OR cents > 0)"))
    ledger = tmp_path / "ledger.db"
    words = {"all_rows": True, "set": ["m = 1"], "allow": ["triggers"], "max_rejected": 1_000}
    job = Job(database, "backfill", **words, ledger=str(ledger))
    first = job()
    assert (first.reason, first.rejected, first.rows) == ("incomplete", BAD, ROWS - BAD)
    with contextlib.closing(sqlite3.connect(ledger)) as connection:
        assert connection.execute("SELECT count(*) FROM batchops_rejected").fetchone() == (BAD,)
    database.script(MEND[database.backend])
    assert (job().reason, database.scalar("SELECT count(*) FROM t WHERE m = 1")) == ("done", ROWS)


@pytest.mark.parametrize("key", ["id INT PRIMARY KEY", "id TEXT PRIMARY KEY", "id INT, b INT"])
def test_a_row_is_named_by_the_key_that_people_know(sqlite: Database, key: str) -> None:
    """SQLite lets such a key hold NULLs, so that rows are followed by their rowid."""
    end = ", PRIMARY KEY (id, b)" if "b INT" in key else ""
    sqlite.script(f"CREATE TABLE t ({key}, note text NOT NULL CHECK (note <> 'no'){end})")
    columns = ("id", "b", "note") if "b INT" in key else ("id", "note")
    sqlite.insert("t", columns, [(n, *(["7"] if len(columns) > 2 else []), "x") for n in ("41", "42", "43")])
    if len(columns) == 2:
        sqlite.execute("INSERT INTO t (note) VALUES ('x')")
    job = Job(
        sqlite, "backfill", where="note = 'x'", set=["note = CASE WHEN id = 42 OR id IS NULL THEN 'no' ELSE 'y' END"]
    )
    job()
    names = [event.key for event in job.events if isinstance(event, Rejected)]
    assert names == (["id=42, b=7"] if len(columns) > 2 else ["id=42", "rowid=4"])
