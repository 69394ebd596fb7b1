"""MariaDB's signals, each brought about on a server of its own and ended again while a purge waits."""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import make_url

from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.services import mariadb as service
from tests.services.database import Database
from tests.services.private import Private
from tests.throttles.run import ThrottledRun

PURGE = ("purge", "t", "--where", "v = 1", "-y")
ROWS = 2000


@pytest.fixture
def table(private_mariadb: Private, new_database: NewDatabase) -> Database:
    database = new_database("mariadb", at=replace(private_mariadb.server, version="?"))
    database.script("CREATE TABLE t (id integer PRIMARY KEY, v integer, n integer)")
    database.execute(f"INSERT INTO t SELECT seq, 1, 0 FROM seq_1_to_{ROWS}")
    return database


@contextmanager
def session(table: Database) -> Iterator[pymysql.cursors.Cursor]:
    with closing(service.connect(table.url, autocommit=True)) as connection, connection.cursor() as cursor:
        yield cursor


@pytest.mark.full
def test_threads_of_others_that_are_at_work(table: Database, batchops: Batchops, tmp_path: Path) -> None:
    with session(table) as sleeps, session(table) as kills:
        number = sleeps.connection.thread_id()
        sleeper = threading.Thread(target=sleep, args=(sleeps,))
        sleeper.start()
        run = ThrottledRun(batchops, tmp_path, *PURGE, "--url", table.url, "--throttle", "threads-running=0")
        why = run.until_throttled()
        kills.execute(f"KILL QUERY {number}")
        sleeper.join()
    assert why["reason"] == "threads-running: 1 (limit 0)"
    assert run.end()["rows"] == ROWS


def sleep(cursor: pymysql.cursors.Cursor) -> None:
    """Until somebody kills it."""
    with contextlib.suppress(pymysql.err.OperationalError):
        cursor.execute("SELECT sleep(600)")


@pytest.mark.full
def test_old_versions_that_a_snapshot_keeps(table: Database, batchops: Batchops, tmp_path: Path) -> None:
    with session(table) as other:
        other.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        other.execute("SELECT count(*) FROM t")
        for _ in range(300):
            table.execute("UPDATE t SET n = n + 1 WHERE id = 1")
        run = ThrottledRun(batchops, tmp_path, *PURGE, "--url", table.url, "--throttle", "history-list=250")
        assert run.until_throttled()["value"] > 250
        other.execute("COMMIT")
        assert run.end()["rows"] == ROWS


@pytest.mark.full
def test_a_session_that_waits_for_a_batch_holds_the_next_one(
    table: Database, batchops: Batchops, tmp_path: Path
) -> None:
    """A trigger makes each batch slow, so that who wants its first row waits; the default wakes up with the first."""
    table.script("CREATE TRIGGER slow BEFORE DELETE ON t FOR EACH ROW SET @slept = sleep(IF(old.id % 500 = 0, 1.5, 0))")
    over = threading.Event()

    def want(row: int) -> None:
        with session(table) as other:
            other.execute("SET innodb_lock_wait_timeout = 60")
            while not over.is_set():
                other.execute(f"UPDATE t SET n = n + 1 WHERE id = {row}")

    wanting = [threading.Thread(target=want, args=(row,)) for row in range(1, ROWS, 500)]
    for one in wanting:
        one.start()
    try:
        run = ThrottledRun(
            batchops, tmp_path, *PURGE, "--url", table.url, "--batch-size", 500, "--allow", "triggers", "--strategy",
            "key", "--lock-timeout", "30s",
        )  # fmt: skip
        run.until(run.reasons)
    finally:
        over.set()
        for one in wanting:
            one.join()
    assert run.end()["rows"] == ROWS
    assert run.reasons()[0]["reason"].startswith("blocked of session ")


@pytest.mark.full
def test_an_account_that_may_not_see_it_is_told_the_grant(table: Database, batchops: Batchops) -> None:
    table.script(f"CREATE USER plain@'%' IDENTIFIED BY 'x'; GRANT ALL ON {table.name}.* TO plain@'%'")
    grant = "GRANT PROCESS ON *.* TO 'plain'@'%';"
    try:
        url = make_url(table.url).set(username="plain", password="x").render_as_string(hide_password=False)
        assert f"blocked: off (not readable: {grant})" in batchops(*PURGE, "--url", url, "-n").out
        asked = batchops(*PURGE, "--url", url, "--throttle", "history-list=100")
        assert (asked.code, grant in asked.err) == (12, True), asked.err
        listed = {one["throttle"]: one for one in batchops("throttles", "--url", url, "--json").json()["throttles"]}
        assert [name for name, one in listed.items() if one["grant"] == grant] == ["blocked", "history-list"]
        assert listed["threads-running"]["value"] is not None
        assert batchops(*PURGE, "--url", url, "--throttle", "threads-running=1000", "--json").json()["rows"] == ROWS
    finally:
        table.execute("DROP USER plain@'%'")
