"""Rows go to another table of the same database: each is in one of the two, never in both or in none."""

from typing import Any

import pytest

from tests.command import Batchops, here
from tests.conftest import NewDatabase
from tests.crash.scenario import MATCHING, ROWS, make, wait_for_work
from tests.services.database import Database
from tests.waiting import ended

WHERE = "kind < 4"
FULL = pytest.mark.full


@pytest.fixture
def filled(database: Database) -> Database:
    make(database)
    database.script("CREATE TABLE old (id integer PRIMARY KEY, kind integer NOT NULL, touched integer NOT NULL)")
    return database


def archive(database: Database, *more: str, code: int = 0) -> Any:
    arguments = ("--url", database.url, "--where", WHERE, "--to", "old", "-y", "--json", "--batch-size", "300", *more)
    done = here("archive", "t", *arguments)
    assert done.code == code, done
    return done.json()


@pytest.mark.parametrize("strategy", ["list", *(pytest.param(name, marks=FULL) for name in ("key", "match"))])
def test_rows_are_in_the_other_table(filled: Database, strategy: str) -> None:
    wanted = filled.rows(f"SELECT * FROM t WHERE {WHERE} ORDER BY id")
    end = archive(filled, "--strategy", strategy)
    assert (end["rows"], end["to"], end["segments"]) == (MATCHING, "old", None)
    assert filled.rows("SELECT * FROM old ORDER BY id") == wanted
    assert filled.scalar("SELECT count(*) FROM t") == ROWS - MATCHING


NUMBERED = {
    "postgresql": "CREATE TABLE old (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,",
    "mysql": "CREATE SEQUENCE numbers; CREATE TABLE old (id integer DEFAULT nextval(numbers) PRIMARY KEY,",
    "sqlite": "CREATE TABLE old (id integer PRIMARY KEY AUTOINCREMENT,",
}


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "in another database"])
def test_new_rows_there_take_no_number_of_an_archived_one(
    database: Database, new_database: NewDatabase, elsewhere: bool
) -> None:
    make(database)
    there = new_database("postgresql") if elsewhere else database
    there.script(f"{NUMBERED[there.backend]} kind integer NOT NULL, touched integer NOT NULL)")
    to = ("--to", "env:OTHER_URL#old" if elsewhere else "old")
    done = here(
        "archive", "t", "--url", database.url, "--where", WHERE, *to, "-y", "--json", env={"OTHER_URL": there.url}
    )
    assert (done.code, done.json()["rows"], done.err.count("not advanced")) == (0, MATCHING, 0), done
    last = there.scalar("SELECT max(id) FROM old")
    there.execute("INSERT INTO old (kind, touched) VALUES (9, 9)")
    assert there.column("SELECT id FROM old WHERE touched = 9") == [last + 1]


def test_a_row_whose_key_is_there_already_stays(filled: Database) -> None:
    filled.execute("INSERT INTO old VALUES (7, 0, 99), (700, 0, 99)")
    end = archive(filled, code=3)
    assert (end["rows"], end["rejected"]) == (MATCHING - 2, 2)
    assert filled.column(f"SELECT id FROM t WHERE {WHERE} ORDER BY id") == [7, 700]
    assert filled.column("SELECT id FROM old WHERE touched = 99 ORDER BY id") == [7, 700]
    assert filled.scalar("SELECT count(*) FROM old") == MATCHING


@pytest.mark.full
def test_a_row_that_may_not_be_deleted_is_not_in_the_other_table(filled: Database) -> None:
    filled.script("CREATE TABLE child (t integer REFERENCES t (id)); CREATE INDEX child_of ON child (t)")
    if filled.backend == "mysql":  # which ignores a reference at the column
        filled.script("ALTER TABLE child ADD FOREIGN KEY (t) REFERENCES t (id)")
    filled.execute("INSERT INTO child VALUES (7), (701)")
    end = archive(filled, code=3)
    assert (end["rows"], end["left"]) == (MATCHING - 2, 2)
    assert filled.column(f"SELECT id FROM t WHERE {WHERE} ORDER BY id") == [7, 701]
    assert filled.scalar("SELECT count(*) FROM old WHERE id IN (7, 701)") == 0


@pytest.mark.full
def test_what_would_change_values_is_refused(filled: Database) -> None:
    refused = [
        ("CREATE TABLE other (id integer PRIMARY KEY, kind smallint, touched integer)", "kind"),
        ("CREATE TABLE narrow (id integer PRIMARY KEY, kind integer)", 'has no column "touched"'),
    ]
    for make_it, why in refused:
        filled.script(make_it)
        name = make_it.split()[2]
        done = here("archive", "t", "--url", filled.url, "--where", WHERE, "--to", name, "-y")
        assert (done.code, why in done.err) == (12, True), done
    for name, why in (("t", "is the table itself"), ("nowhere", "a folder ends with /")):
        done = here("archive", "t", "--url", filled.url, "--where", WHERE, "--to", name, "-y")
        assert (done.code, why in done.err) == (2, True), done
    assert filled.scalar("SELECT count(*) FROM t") == ROWS


def test_limit_moves_rows_only_by_one_statement(filled: Database) -> None:
    """Two statements with a LIMIT may take different rows."""
    one = filled.backend == "postgresql"
    end = archive(filled, "--strategy", "limit", code=0 if one else 12)
    assert end["rows"] == (MATCHING if one else 0)
    assert one or end["error"]["hint"] == "leave --strategy out: the table has a key."
    assert filled.scalar("SELECT count(*) FROM old") == end["rows"]


def test_some_columns_alone(filled: Database) -> None:
    filled.script("CREATE TABLE narrow (id integer PRIMARY KEY, kind integer)")
    done = here("archive", "t", "--url", filled.url, "--where", WHERE, "--to", "narrow", "--columns", "id,kind", "-y")
    assert done.code == 0, done
    assert filled.scalar("SELECT count(*) FROM narrow") == MATCHING


TRIGGERS = {
    "postgresql": "CREATE FUNCTION drop_it() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
    "CREATE TRIGGER dropper BEFORE INSERT ON old FOR EACH ROW EXECUTE FUNCTION drop_it()",
    "mysql": "CREATE TRIGGER dropper BEFORE INSERT ON old FOR EACH ROW SET NEW.touched = 99",
    "sqlite": "CREATE TRIGGER dropper BEFORE INSERT ON old BEGIN SELECT raise(IGNORE); END",
}


@pytest.mark.full
def test_a_trigger_that_drops_rows_is_refused_also_when_it_comes_later(filled: Database, batchops: Batchops) -> None:
    arguments = ("archive", "t", "--url", filled.url, "--where", WHERE, "--to", "old", "-y", "--batch-size", "100")
    process = batchops.start(*arguments, "--sleep", "300ms")
    wait_for_work(process, filled)
    filled.script(TRIGGERS[filled.backend])
    done = ended(process)
    assert (done.code, "dropper" in done.out) == (13, True), done
    assert filled.scalar("SELECT count(*) FROM old") + filled.scalar("SELECT count(*) FROM t") == ROWS
    assert filled.scalar("SELECT count(*) FROM old WHERE touched = 99") == 0
    again = here(*arguments)
    assert (again.code, "dropper" in again.err) == (12, True), again
