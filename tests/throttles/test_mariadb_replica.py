"""The lag of a MariaDB replica that is named: it stands still, it applies nothing, it is another server's."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.services import mariadb
from tests.services.database import Database
from tests.services.mariadb_replica import ask, replica, replicate, source
from tests.services.private import Private
from tests.services.server import UnavailableError
from tests.throttles.run import ThrottledRun

PURGE = ("purge", "t", "--where", "v = 1", "-y")
ROWS = 2000
SLOW = ("--batch-size", 20, "--sleep", "50ms", "--strategy", "key")


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Private, Private]]:
    """A server and its replica."""
    try:
        first, second = source(), replica()
    except UnavailableError as error:
        pytest.skip(str(error))
    with first, second:
        replicate(second, first)
        yield first, second


@pytest.fixture
def table(pair: tuple[Private, Private], new_database: NewDatabase) -> Database:
    database = new_database("mariadb", at=replace(pair[0].server, version="?"))
    database.script("CREATE TABLE t (id integer PRIMARY KEY, v integer)")
    database.execute(f"INSERT INTO t SELECT seq, 1 FROM seq_1_to_{ROWS}")
    return database


def held(table: Database, copy: Private, batchops: Batchops, folder: Path, *more: object) -> ThrottledRun:
    """A purge that has begun, with that replica."""
    args = (*PURGE, "--url", table.url, *SLOW, "--replica", "env:COPY", *more)
    run = ThrottledRun(batchops, folder, *args, env={"COPY": copy.url})
    run.until(lambda: run.events("committed"))
    return run


def named(server: Private) -> str:
    return server.url.rpartition("@")[2].rstrip("/")


@pytest.mark.full
def test_a_replica_that_applies_nothing_holds_the_run_until_it_does(
    pair: tuple[Private, Private], table: Database, batchops: Batchops, tmp_path: Path
) -> None:
    run = held(table, pair[1], batchops, tmp_path, "--throttle", "replica-lag=1s")
    with closing(mariadb.connect(pair[1].url, autocommit=True)) as other, other.cursor() as cursor:
        cursor.execute("FLUSH TABLES WITH READ LOCK")
        why = run.until_throttled()
        cursor.execute("UNLOCK TABLES")
    assert why["reason"].startswith(f"replica-lag of {named(pair[1])}: ")
    assert (why["limit"], why["value"] > 1.0) == (1.0, True)
    end = run.end()
    assert (end["rows"], end["throttled_by"][0]["throttle"]) == (ROWS, "replica-lag")


@pytest.mark.full
def test_a_replica_with_a_limit_of_its_own_may_be_late(
    pair: tuple[Private, Private], table: Database, batchops: Batchops, tmp_path: Path
) -> None:
    args = (*PURGE, "--url", table.url, *SLOW, "--replica", "env:COPY,limit=1h", "--throttle", "replica-lag=1s")
    with closing(mariadb.connect(pair[1].url, autocommit=True)) as other, other.cursor() as cursor:
        cursor.execute("FLUSH TABLES WITH READ LOCK")
        run = ThrottledRun(batchops, tmp_path, *args, env={"COPY": pair[1].url})
        end = run.end()
        cursor.execute("UNLOCK TABLES")
    assert (end["rows"], end["seconds"] > 2.0, run.reasons()) == (ROWS, True, [])


@pytest.mark.full
def test_a_replica_that_is_stopped_holds_the_run_at_once(
    pair: tuple[Private, Private], table: Database, batchops: Batchops, tmp_path: Path
) -> None:
    """It gives NULL for its lag, which is not zero."""
    run = held(table, pair[1], batchops, tmp_path)
    ask(pair[1], "STOP SLAVE SQL_THREAD")
    why = run.until_throttled()
    ask(pair[1], "START SLAVE SQL_THREAD")
    assert why["reason"] == f"replica-lag: replication of {named(pair[1])} does not run (Slave_SQL_Running: No)"
    assert run.end()["rows"] == ROWS


def test_what_is_no_replica_of_this_server_is_refused(
    pair: tuple[Private, Private], table: Database, batchops: Batchops
) -> None:
    at = (*PURGE, "--url", table.url)
    other = batchops(*at, "--replica", "env:COPY", env={"COPY": pair[0].url})
    assert (other.code, f"{named(pair[0])} is no replica of this server" in other.err) == (12, True), other.err
    shown = batchops(*at, "--replica", pair[1].url)
    assert (shown.code, mariadb.PASSWORD in shown.err, "env:NAME" in shown.err) == (2, False, True), shown.err
    unnamed = batchops(*at, "--throttle", "replica-lag=5s")
    assert (unnamed.code, "--replica URL" in unnamed.err) == (2, True), unnamed.err
    assert "replica-lag" not in batchops(*at, "-n").out


def test_a_database_that_names_its_replicas_itself_takes_none(sqlite: Database, batchops: Batchops) -> None:
    sqlite.execute("CREATE TABLE t (id integer PRIMARY KEY, v integer)")
    wrong = batchops(*PURGE, "--url", sqlite.url, "--replica", "mysql://copy/shop")
    assert (wrong.code, "--replica: this database" in wrong.err) == (2, True), wrong.err
