"""Rows go to another database: committed and read back there before they are deleted here."""

import signal
from pathlib import Path
from typing import Any

import pytest

import batchops as library
from tests.command import Batchops, here
from tests.conftest import NewDatabase
from tests.crash.scenario import MATCHING, ROWS, make
from tests.crash.test_kills import wait_for_progress
from tests.services.database import Database
from tests.waiting import ended, until

WHERE = "kind < 4"
TABLE = "CREATE TABLE old (id integer PRIMARY KEY, kind integer NOT NULL, touched integer NOT NULL)"
WAYS = (("postgresql", "sqlite"), ("sqlite", "mariadb"), ("mariadb", "postgresql"), ("postgresql", "postgresql"))
Pair = tuple[Database, Database]


@pytest.fixture(params=WAYS, ids=[" to ".join(way) for way in WAYS])
def pair(request: pytest.FixtureRequest, new_database: NewDatabase) -> Pair:
    here, there = (new_database(name) for name in request.param)
    make(here)
    there.script(TABLE)
    return here, there


def archive(pair: Pair, *more: str, code: int = 0) -> Any:
    source, there = pair
    arguments = ("--url", source.url, "--where", WHERE, "--to", "env:OTHER_URL#old", "-y", "--json")
    done = here("archive", "t", *arguments, "--batch-size", "300", *more, env={"OTHER_URL": there.url})
    assert done.code == code, done
    assert there.url not in done.out + done.err
    return done.json()


@pytest.mark.wide(2)
def test_rows_are_there_and_no_longer_here(pair: Pair) -> None:
    source, there = pair
    wanted = source.rows(f"SELECT * FROM t WHERE {WHERE} ORDER BY id")
    end = archive(pair)
    assert (end["rows"], end["to"]) == (MATCHING, "env:OTHER_URL#old")
    assert there.rows("SELECT * FROM old ORDER BY id") == wanted
    assert source.scalar("SELECT count(*) FROM t") == ROWS - MATCHING


@pytest.mark.full
def test_what_is_there_already_is_compared(pair: Pair) -> None:
    """The same content was brought by a run that crashed; another one keeps its row here."""
    source, there = pair
    there.execute("INSERT INTO old VALUES (7, 0, 99), (14, 0, 0), (701, 1, 99)")
    end = archive(pair, code=3)
    assert (end["rows"], end["rejected"]) == (MATCHING - 2, 2)
    assert source.column(f"SELECT id FROM t WHERE {WHERE} ORDER BY id") == [7, 701]
    assert there.column("SELECT id FROM old WHERE touched = 99 ORDER BY id") == [7, 701]
    assert there.scalar("SELECT count(*) FROM old") == MATCHING


@pytest.mark.full
def test_a_row_that_may_not_be_deleted_here_is_not_there(pair: Pair) -> None:
    source, there = pair
    source.script("CREATE TABLE child (t integer, FOREIGN KEY (t) REFERENCES t (id)); CREATE INDEX c ON child (t)")
    source.execute("INSERT INTO child VALUES (7), (701)")
    assert archive(pair, code=3)["rows"] == MATCHING - 2
    assert there.scalar("SELECT count(*) FROM old WHERE id IN (7, 701)") == 0
    assert there.scalar("SELECT count(*) FROM old") == MATCHING - 2


def test_what_cannot_be_is_refused(pair: Pair) -> None:
    source, there = pair
    there.script("CREATE TABLE keyless (id integer, kind integer, touched integer)")
    there.script("CREATE TABLE narrow (id integer PRIMARY KEY, kind integer)")
    for name, code, why in (
        ("keyless", 12, "has no key"),
        ("narrow", 12, 'no column "touched"'),
        ("x", 2, "There is no"),
    ):
        to = ("--to", f"env:OTHER_URL#{name}")
        done = here("archive", "t", "--url", source.url, "--where", WHERE, *to, "-y", env={"OTHER_URL": there.url})
        assert (done.code, why in done.err) == (code, True), done
    assert source.scalar("SELECT count(*) FROM t") == ROWS


def test_a_password_is_not_taken(pair: Pair) -> None:
    done = here("archive", "t", "--url", pair[0].url, "--where", WHERE, "--to", "mysql://me:secret@host/db#old", "-y")
    assert (done.code, "secret" in done.err, "holds a password" in done.err) == (2, False, True), done


@pytest.mark.parametrize("on", ["postgresql", pytest.param("mariadb", marks=pytest.mark.full)])
def test_nobody_waits_here_while_rows_are_inserted_there(
    batchops: Batchops, new_database: NewDatabase, on: str
) -> None:  # fmt: skip
    source, there = new_database(on), new_database("postgresql")
    make(source)
    there.script(TABLE)
    patience = {"postgresql": "SET lock_timeout = '3s'", "mysql": "SET innodb_lock_wait_timeout = 3"}[source.backend]
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with there.engine.begin() as blocker:
        blocker.exec_driver_sql("LOCK TABLE old IN EXCLUSIVE MODE")
        process = batchops.start(
            "archive", "t", "--url", source.url, "--where", WHERE, "--to", "env:OTHER_URL#old", "-y", "--json",
            "--batch-size", "5000", "--lock-timeout", "60s", env={"OTHER_URL": there.url},
        )  # fmt: skip
        until(lambda: there.scalar(waiting) > 0, process)
        changes = "UPDATE t SET touched = 5 WHERE id = 7; DELETE FROM t WHERE id = 14; INSERT INTO t VALUES (0, 0, 9)"
        source.script(f"{patience}; {changes}; UPDATE t SET kind = 6 WHERE id = 21")
        wanted = sorted(source.rows("SELECT * FROM t"))
    done = ended(process)
    assert done.code == 0, done
    left, gone = source.rows("SELECT * FROM t"), there.rows("SELECT * FROM old")
    assert sorted([*left, *gone]) == wanted
    assert (7, 0, 5) in gone
    assert {row for row in left if row[1] < 4} <= {(0, 0, 9)}


def test_a_statement_that_waits_there_is_cancelled_with_the_run(
    sqlite: Database, postgresql: Database, batchops: Batchops
) -> None:
    make(sqlite)
    postgresql.script(TABLE)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with postgresql.engine.begin() as blocker:
        blocker.exec_driver_sql("LOCK TABLE old IN EXCLUSIVE MODE")
        process = batchops.start(
            "archive", "t", "--url", sqlite.url, "--where", WHERE, "--to", "env:OTHER_URL#old", "-y",
            "--lock-timeout", "20min", "--statement-timeout", "20min", "--grace", "1s",
            env={"OTHER_URL": postgresql.url},
        )  # fmt: skip
        until(lambda: postgresql.scalar(waiting) > 0, process)
        process.send_signal(signal.SIGTERM)
        assert ended(process).code == 143
    assert (sqlite.scalar("SELECT count(*) FROM t"), postgresql.scalar("SELECT count(*) FROM old")) == (ROWS, 0)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_kills(batchops: Batchops, pair: Pair) -> None:
    source, there = pair
    command = ("archive", "t", "--where", WHERE, "--to", "env:OTHER_URL#old", "--url", source.url, "-y")
    env = {"OTHER_URL": there.url}
    for _ in range(15):
        process = batchops.start(*command, "-q", "--batch-size", "20", "--sleep", "10ms", env=env)
        wait_for_progress(process, source)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert batchops(*command, env=env).code == 0
    rows = [*source.column("SELECT id FROM t"), *there.column("SELECT id FROM old")]
    assert sorted(rows) == [*range(1, ROWS + 1)]


def test_rows_that_are_refused_here_are_taken_back_there(new_database: NewDatabase) -> None:
    source, there = new_database("sqlite"), new_database("sqlite")
    source.script("CREATE TABLE t (id integer PRIMARY KEY); CREATE TABLE k (t integer REFERENCES t (id))")
    source.script("INSERT INTO t VALUES (1), (2), (3), (4), (5); INSERT INTO k VALUES (2), (5)")
    there.script("CREATE TABLE old (id integer PRIMARY KEY)")
    more = ("--all-rows", "--to", "env:OTHER_URL#old", "--allow", "fk-index", "-y")
    done = here("archive", "t", "--url", source.url, *more, env={"OTHER_URL": there.url})
    assert done.code == 3, done
    assert source.column("SELECT id FROM t ORDER BY id") == [2, 5]
    assert there.column("SELECT id FROM old ORDER BY id") == [1, 3, 4]


def test_a_value_that_a_column_of_sqlite_would_make_a_number_of_stays(
    new_database: NewDatabase, tmp_path: Path
) -> None:
    """A row with such a value is rejected, in an archive as in a restore."""
    source, there = new_database("postgresql"), new_database("sqlite")
    source.script("CREATE TABLE t (id integer PRIMARY KEY, n numeric(9,3), m numeric(9,3))")
    source.script("INSERT INTO t VALUES (1, 1.25, NULL), (2, NULL, NULL), (3, NULL, 0.1)")
    there.script("CREATE TABLE old (id integer PRIMARY KEY, n numeric, m text)")
    more = ("--all-rows", "--to", "env:OTHER_URL#old", "-y")
    done = here("archive", "t", "--url", source.url, *more, env={"OTHER_URL": there.url})
    assert (done.code, "its values would change there" in done.out + done.err) == (3, True), done
    assert (source.column("SELECT id FROM t"), there.column("SELECT id FROM old ORDER BY id")) == ([1], [2, 3])
    library.archive(url=source.url, table="t", all_rows=True, to=f"{tmp_path}/a/", format="jsonl")
    back = library.restore(destination=tmp_path / "a", into="old", url=there.url)
    assert (back.exit, back.rejected, there.scalar("SELECT count(*) FROM old")) == (3, 1, 2), back
