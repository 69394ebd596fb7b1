"""Every fixture gives a database that works, and one test's rows are not another's."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import ROOT, Batchops
from tests.conftest import NewDatabase
from tests.services.database import Database
from tests.services.private import Private
from tests.services.server import Server
from tests.services.session import Services
from tests.waiting import until


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_a_database_of_its_own(database: Database, turn: int) -> None:
    database.script("CREATE TABLE t (id integer PRIMARY KEY, word varchar(20)); INSERT INTO t VALUES (1, '50% :a')")
    assert database.execute("INSERT INTO t VALUES (:id, :word)", id=turn + 1, word="déjà vu") == 1
    database.insert("t", ["id", "word"], [(10, "x"), (11, None)])
    assert database.rows("SELECT id, word FROM t ORDER BY id")[:2] == [(1, "50% :a"), (turn + 1, "déjà vu")]
    assert database.scalar("SELECT count(*) FROM t WHERE word LIKE '50%'") == 1
    assert database.column("SELECT id FROM t WHERE id > :id", id=9) == [10, 11]


def test_families(postgresql: Database, mariadb: Database, sqlite: Database) -> None:
    assert [d.backend for d in (postgresql, mariadb, sqlite)] == ["postgresql", "mysql", "sqlite"]
    assert postgresql.scalar("SELECT current_database()") == postgresql.name
    assert mariadb.scalar("SELECT database()") == mariadb.name
    assert sqlite.url.startswith("sqlite:////")


def test_a_test_may_have_several_databases(new_database: NewDatabase) -> None:
    one, other = new_database("sqlite"), new_database("sqlite")
    one.script("CREATE TABLE t (id integer PRIMARY KEY)")
    assert other.rows("SELECT name FROM sqlite_master") == []


@pytest.mark.wide(2)
def test_january(january: Database) -> None:
    assert january.scalar("SELECT count(*) FROM flights") == 27_004
    assert january.scalar("SELECT count(*) FROM flights WHERE dep_time IS NULL") == 521
    assert january.rows("SELECT min(id), max(id) FROM flights") == [(1, 27_004)]
    assert str(january.scalar("SELECT time_hour FROM flights WHERE id = 1")).startswith("2013-01-01 ")


@pytest.mark.full  # loading the year takes seconds on each
@pytest.mark.parametrize("turn", ["loaded", "copied"])
def test_flights(flights: Database, turn: str) -> None:
    counts = {"airlines": 16, "airports": 1_458, "planes": 3_322, "weather": 26_115, "flights": 336_776}
    for table, count in counts.items():
        assert flights.scalar(f"SELECT count(*) FROM {table}") == count, turn
    assert flights.scalar("SELECT count(*) FROM flights WHERE dep_time IS NULL") == 8_255
    assert flights.scalar("SELECT tailnum FROM flights WHERE id = 336776") == "N839MQ"
    assert flights.scalar("SELECT name FROM airports WHERE faa = 'JFK'") == "John F Kennedy Intl"
    assert flights.execute("DELETE FROM flights WHERE month = 1") == 27_004


def test_a_private_postgresql_comes_back(private_postgresql: Private, new_database: NewDatabase) -> None:
    _comes_back(private_postgresql, new_database, "postgresql")


def test_a_private_mariadb_comes_back(private_mariadb: Private, new_database: NewDatabase) -> None:
    _comes_back(private_mariadb, new_database, "mariadb")


def _comes_back(private: Private, new_database: NewDatabase, name: str) -> None:
    database = new_database(name, at=private.server)
    database.script("CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (7)")
    private.stop()
    private.start()
    assert database.scalar("SELECT id FROM t") == 7


def test_a_killed_session_leaves_no_server() -> None:
    """The guard's work: pytest itself got no chance to clear up."""
    code = "from tests.services import postgres; p = postgres.private(); p.start(); print(p.pid, p.folder)"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", f"{code}; input()"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        line = owner.stdout.readline().split()
        if not line:
            pytest.skip("no PostgreSQL of our own")
        owner.send_signal(signal.SIGKILL)
    until(lambda: not Path(line[1]).exists())
    with pytest.raises(ProcessLookupError):
        os.kill(int(line[0]), 0)


def test_the_command_runs_in_an_empty_environment(batchops: Batchops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHOPS_URL", "sqlite:///nowhere")
    assert "BATCHOPS_URL" not in batchops.environment()
    assert batchops.argv("--help") == [sys.executable, "-m", "batchops", "--help"]


def test_a_database_is_as_new_however_the_last_test_left_it(
    services: Services, service: Callable[[str], Server]
) -> None:
    """PostgreSQL's are made as new for the next test where that is sure, and dropped where it is not."""
    service("postgresql")
    for left in (
        "CREATE SCHEMA o; CREATE TABLE o.a (x int); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE PUBLICATION everything FOR ALL TABLES",
        "SELECT lo_create(0)",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET lock_timeout = 7', current_database()); END $$",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC; CREATE TABLE a (x int)",
        "SELECT 1",
    ):
        with services.database("postgresql") as database:
            assert database.column("SELECT nspname FROM pg_namespace WHERE oid >= 16384") in ([], ["public"])
            assert database.scalar("SELECT count(*) FROM pg_class WHERE oid >= 16384") == 0
            assert database.scalar("SELECT count(*) FROM pg_publication") == 0
            assert database.scalar("SHOW lock_timeout") == "0"
            acl = database.scalar("SELECT nspacl::text FROM pg_namespace WHERE nspname = 'public'")
            assert acl == "{pg_database_owner=UC/pg_database_owner,=U/pg_database_owner}"
            database.script(left)
