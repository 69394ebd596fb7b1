"""A SQLite file in which another connection commits while a plan is made: neither waits for the other to give up."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import Pool

import batchops as library
from batchops.db.database import connect
from batchops.db.urls import address
from tests.command import here
from tests.services import sqlite as sqlite_service
from tests.services.database import Database
from tests.waiting import HANG


def committing(path: str, failed: list[Exception]) -> threading.Thread:
    """A thread whose COMMIT waits until nobody reads; it lets no new reader in meanwhile."""

    def commit() -> None:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=HANG)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("INSERT INTO t VALUES (100)")
            began.set()
            try:
                other.execute("COMMIT")
            except sqlite3.Error as error:
                failed.append(error)

    began = threading.Event()
    thread = threading.Thread(target=commit)
    thread.start()
    assert began.wait(HANG)
    return thread


def lets_no_reader_in(path: str) -> bool:
    with closing(sqlite3.connect(path, timeout=0)) as other:
        try:
            other.execute("SELECT count(*) FROM t").fetchone()
        except sqlite3.OperationalError:
            return True
    return False


def test_a_read_within_a_read_does_not_wait_for_a_commit(sqlite: Database) -> None:
    sqlite.script("CREATE TABLE t (id integer PRIMARY KEY)")
    path, failed = str(sqlite_service.path(sqlite.url)), list[Exception]()
    with closing(connect(address(sqlite.url, {}))) as database:
        with database.reading() as outer:
            assert outer.exec_driver_sql("SELECT count(*) FROM t").scalar() == 0
            writer = committing(path, failed)
            while not lets_no_reader_in(path):
                pass
            with database.reading() as inner:
                assert inner.exec_driver_sql("SELECT count(*) FROM t").scalar() == 0
            with database.explaining() as inner:
                assert inner.exec_driver_sql("SELECT count(*) FROM t").scalar() == 0
            assert outer.exec_driver_sql("SELECT count(*) FROM t").scalar() == 0, "the transaction is still the first"
        writer.join()
        with database.reading() as later:
            assert later.exec_driver_sql("SELECT count(*) FROM t").scalar() == 1
    assert failed == []


@contextmanager
def most_connections() -> Iterator[list[int]]:
    """How many connections a thread had at one time, at the most; each but the first reads within a read."""
    held, most = threading.local(), [0]

    def took(*_: object) -> None:
        held.count = getattr(held, "count", 0) + 1
        most[0] = max(most[0], held.count)

    def returned(*_: object) -> None:
        held.count -= 1

    sa.event.listen(Pool, "checkout", took)
    sa.event.listen(Pool, "checkin", returned)
    try:
        yield most
    finally:
        sa.event.remove(Pool, "checkout", took)
        sa.event.remove(Pool, "checkin", returned)


PLANS: dict[str, Callable[[str], object]] = {
    "purge": lambda url: library.plan(library.purge, url=url, table="t", where="id > 1"),
    "backfill": lambda url: library.plan(library.backfill, url=url, table="t", where="id > 1", set=["state = 'x'"]),
    "drain": lambda url: library.plan(
        library.drain, url=url, table="t", where="state IS NULL", done=["state = 'x'"], set=["state = 'y'"]
    ),
    "relay": lambda url: library.plan(library.relay, url=url, table="outbox", to="file:/dev/null"),
}


@pytest.mark.parametrize("verb", PLANS)
def test_a_plan_reads_on_one_connection(sqlite: Database, verb: str) -> None:
    sqlite.script("CREATE TABLE t (id integer PRIMARY KEY, state text)")
    for words in (("outbox", "init"), ("queue", "init", "t")):
        assert here(*words, "--url", sqlite.url, "--apply").code == 0
    with most_connections() as most:
        PLANS[verb](sqlite.url)
    assert most == [1]
