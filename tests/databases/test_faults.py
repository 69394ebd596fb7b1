"""Real servers' errors, each told apart as it must be."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import psycopg
import pymysql
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.database import connect
from batchops.db.faults import Fault
from batchops.db.mysql import faults as mysql
from batchops.db.postgresql import faults as postgresql
from batchops.db.sqlite import faults as sqlite_faults
from batchops.db.urls import address
from batchops.errors import ConnectionLostError
from tests.services.database import Database

FAULTS = {"postgresql": postgresql, "mysql": mysql, "sqlite": sqlite_faults}
TABLES = """
CREATE TABLE parent (id int PRIMARY KEY, n int NOT NULL UNIQUE, CONSTRAINT small CHECK (n < 1000));
CREATE TABLE child (id int PRIMARY KEY, parent int, FOREIGN KEY (parent) REFERENCES parent (id));
INSERT INTO parent VALUES (1, 1), (2, 2);
INSERT INTO child VALUES (1, 1);
"""


def seen(database: Database, act: Callable[[], object]) -> tuple[Fault, str]:
    """The fault and the one-line text of what goes wrong in `act`."""
    family = FAULTS["mysql" if database.backend == "mariadb" else database.backend]
    with pytest.raises((DBAPIError, psycopg.Error, pymysql.err.Error, sqlite3.Error)) as caught:
        act()
    told = family.message(caught.value)
    assert "\n" not in told
    assert told
    return family.classify(caught.value), told


@contextmanager
def session(database: Database, *settings: str) -> Iterator[sa.Connection]:
    with database.engine.connect() as connection:
        for setting in settings:
            connection.exec_driver_sql(setting)
        connection.commit()
        yield connection


@pytest.fixture
def tables(database: Database) -> Database:
    database.script(TABLES)
    return database


@pytest.mark.wide(6)
@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("INSERT INTO parent VALUES (1, 7)", Fault.ROW_REFUSED),
        ("INSERT INTO parent VALUES (7, 1)", Fault.ROW_REFUSED),
        ("UPDATE parent SET n = NULL", Fault.ROW_REFUSED),
        ("UPDATE parent SET n = 1000 WHERE id = 1", Fault.ROW_REFUSED),
        ("DELETE FROM parent WHERE id = 1", Fault.ROW_REFUSED),
        ("UPDATE child SET parent = 99", Fault.ROW_REFUSED),
        ("DELETE FROM nowhere", Fault.NO_TABLE),
        ("DELETE FROM parent WHERE missing_one = 1", Fault.NO_COLUMN),
        ("DELETE FROM parent WHERE nothing(id) = 1", Fault.STATEMENT),
        ("DELETE FROM parent WHERE WHERE id = 1", Fault.STATEMENT),
    ],
)
def test_statements(tables: Database, sql: str, fault: Fault) -> None:
    pragma = ("PRAGMA foreign_keys = on",) if tables.backend == "sqlite" else ()
    with session(tables, *pragma) as connection:
        found, told = seen(tables, lambda: connection.exec_driver_sql(sql))
    assert found is fault, told
    assert "WHERE id" not in told


def crossing(first: sa.Connection, second: sa.Connection) -> None:
    """Two transactions that each want the row of the other; raises for the one that is chosen."""
    lock = "UPDATE parent SET n = n + 10 WHERE id = "
    first.exec_driver_sql(lock + "1")
    second.exec_driver_sql(lock + "2")
    failures: list[DBAPIError] = []

    def other() -> None:
        try:
            second.exec_driver_sql(lock + "1")
        except DBAPIError as error:
            failures.append(error)
        second.rollback()

    thread = threading.Thread(target=other)
    thread.start()
    time.sleep(0.2)
    try:
        first.exec_driver_sql(lock + "2")
    finally:
        first.rollback()
        thread.join()
    raise failures[0]


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_deadlock(new_database: Callable[..., Database], kind: str) -> None:
    tables = new_database(kind)
    tables.script(TABLES)
    with session(tables) as first, session(tables) as second:
        assert seen(tables, lambda: crossing(first, second))[0] is Fault.TRANSIENT


@pytest.mark.parametrize(
    ("kind", "setting"),
    [("postgresql", "SET lock_timeout = 100"), ("mariadb", "SET SESSION innodb_lock_wait_timeout = 1")],
)
def test_lock_timeout(new_database: Callable[..., Database], kind: str, setting: str) -> None:
    tables = new_database(kind)
    tables.script(TABLES)
    with session(tables) as holder, session(tables, setting) as waiting:
        holder.exec_driver_sql("DELETE FROM parent WHERE id = 2")
        fault, _ = seen(tables, lambda: waiting.exec_driver_sql("DELETE FROM parent WHERE id = 2"))
    assert fault is Fault.LOCK_TIMEOUT


def test_sqlite_is_busy(sqlite: Database) -> None:
    sqlite.script(TABLES)
    with session(sqlite) as holder, session(sqlite, "PRAGMA busy_timeout = 50") as waiting:
        holder.exec_driver_sql("DELETE FROM parent WHERE id = 2")
        fault, _ = seen(sqlite, lambda: waiting.exec_driver_sql("DELETE FROM parent WHERE id = 2"))
    assert fault is Fault.TRANSIENT


@pytest.mark.parametrize(
    ("kind", "setting", "slow"),
    [
        ("postgresql", "SET statement_timeout = 100", "SELECT pg_sleep(5)"),
        (
            "mariadb",
            "SET max_statement_time = 0.1",
            "SELECT COUNT(*) FROM seq_1_to_99999 a, seq_1_to_99999 b WHERE a.seq + b.seq = 0",
        ),
    ],
)
def test_statement_timeout(new_database: Callable[..., Database], kind: str, setting: str, slow: str) -> None:
    database = new_database(kind)
    with session(database, setting) as connection:
        assert seen(database, lambda: connection.exec_driver_sql(slow))[0] is Fault.TIMED_OUT


KILLS = [
    ("postgresql", "SELECT pg_backend_pid()", "SELECT pg_terminate_backend({0})"),
    ("mariadb", "SELECT connection_id()", "KILL {0}"),
]


@pytest.mark.parametrize(("kind", "whoami", "kill"), KILLS)
def test_killed(new_database: Callable[..., Database], kind: str, whoami: str, kill: str) -> None:
    database = new_database(kind)
    with session(database) as connection:
        me = connection.exec_driver_sql(whoami).scalar_one()
        database.execute(kill.format(me))
        assert seen(database, lambda: connection.exec_driver_sql("SELECT 1"))[0] is Fault.CONNECTION_LOST
    with session(database) as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.close()
        assert seen(database, lambda: driver.cursor().execute("SELECT 1"))[0] is Fault.CONNECTION_LOST


@pytest.mark.parametrize(("kind", "whoami", "kill"), KILLS)
def test_a_statement_more_on_a_lost_connection(
    new_database: Callable[..., Database], kind: str, whoami: str, kill: str
) -> None:
    """As where the search for a refused row goes on while the server falls."""
    target = new_database(kind)
    database = connect(address(target.url, {}))

    def twice(connection: sa.Connection) -> None:
        target.execute(kill.format(connection.exec_driver_sql(whoami).scalar_one()))
        with suppress(DBAPIError):
            connection.exec_driver_sql("SELECT 1")
        connection.exec_driver_sql("SELECT 1")

    with (
        pytest.raises(ConnectionLostError, match="The connection to the database is lost"),
        database.transaction() as it,
    ):
        twice(it)
    database.close()


def test_idle_in_a_transaction(postgresql: Database) -> None:
    with session(postgresql, "SET idle_in_transaction_session_timeout = 50") as connection:
        connection.exec_driver_sql("SELECT 1")
        time.sleep(0.3)
        assert seen(postgresql, lambda: connection.exec_driver_sql("SELECT 1"))[0] is Fault.CONNECTION_LOST


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        ("postgresql", "SET default_transaction_read_only = on"),
        ("mariadb", "SET SESSION TRANSACTION READ ONLY"),
        ("sqlite", "PRAGMA query_only = on"),
    ],
)
def test_read_only(new_database: Callable[..., Database], kind: str, setting: str) -> None:
    tables = new_database(kind)
    tables.script(TABLES)
    with session(tables, setting) as connection:
        assert seen(tables, lambda: connection.exec_driver_sql("DELETE FROM child"))[0] is Fault.READ_ONLY


def test_denied_on_postgresql(postgresql: Database) -> None:
    postgresql.script(TABLES)
    role = f"denied_{postgresql.name}"
    postgresql.execute(f"CREATE ROLE {role}")
    try:
        with session(postgresql, f"SET ROLE {role}") as connection:
            assert seen(postgresql, lambda: connection.exec_driver_sql("DELETE FROM child"))[0] is Fault.DENIED
    finally:
        postgresql.execute(f"DROP ROLE {role}")


def test_denied_and_wrong_password_on_mariadb(mariadb: Database) -> None:
    mariadb.script(TABLES)
    user = f"d{mariadb.name}"[-30:]
    mariadb.execute(f"CREATE USER {user} IDENTIFIED BY 'right'")
    try:
        mariadb.execute(f"GRANT SELECT ON {mariadb.name}.parent TO {user}")
        url = sa.make_url(mariadb.url).set(username=user, password="right")
        engine = sa.create_engine(given(url), poolclass=sa.NullPool)
        with engine.connect() as connection:
            for sql in ("DELETE FROM parent", "UPDATE parent SET n = 3"):
                assert seen(mariadb, partial(connection.exec_driver_sql, sql))[0] is Fault.DENIED
        wrong = sa.create_engine(given(url.set(password="S3CR3T")))
        fault, told = seen(mariadb, wrong.connect)
        assert fault is Fault.LOGIN
        assert "S3CR3T" not in told
    finally:
        mariadb.execute(f"DROP USER {user}")


def test_no_such_role(postgresql: Database) -> None:
    """Also what a wrong password looks like: the server does not tell one from the other."""
    url = sa.make_url(postgresql.url).set(username="no_such_role", password="S3CR3T")
    fault, told = seen(postgresql, sa.create_engine(given(url)).connect)
    assert fault is Fault.LOGIN
    assert "no_such_role" in told
    assert "S3CR3T" not in told


def given(url: sa.URL) -> sa.URL:
    """The URL as batchops reads it when it is typed."""
    return address(url.render_as_string(hide_password=False), {}).url


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_nobody_there_and_no_such_database(new_database: Callable[..., Database], kind: str) -> None:
    database = new_database(kind)
    url = sa.make_url(database.url)
    for wrong, fault in ((url.set(host="127.0.0.1", port=1, query={}), Fault.UNREACHABLE),
                         (url.set(host="no.such.host.invalid", port=1, query={}), Fault.UNREACHABLE),
                         (url.set(database="no_such_database"), Fault.LOGIN)):  # fmt: skip
        engine = sa.create_engine(given(wrong))
        assert seen(database, engine.connect)[0] is fault


def test_a_file_that_is_not_there_or_no_database(sqlite: Database, tmp_path: Path) -> None:
    engine = sa.create_engine(address(f"sqlite:///{tmp_path}/none.db", {}).url)
    assert seen(sqlite, engine.connect)[0] is Fault.UNREACHABLE
    (tmp_path / "text").write_text("no database at all " * 100)
    with closing(sqlite3.connect(tmp_path / "text")) as connection:
        assert seen(sqlite, lambda: connection.execute("SELECT * FROM t"))[0] is Fault.CORRUPT
