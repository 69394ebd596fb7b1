"""The proxy cuts where it says, seen from both ends."""

import threading
from typing import Any

import psycopg
import pymysql
import pytest

from tests.services import mariadb as mariadb_service
from tests.services.database import Database
from tests.services.proxy import Mode, Proxy

LOST = (psycopg.OperationalError, pymysql.err.OperationalError)


@pytest.fixture(params=["postgresql", "mariadb"])
def network(request: pytest.FixtureRequest) -> Database:
    database: Database = request.getfixturevalue(request.param)
    database.script("CREATE TABLE t (id integer PRIMARY KEY)")
    return database


def connect(url: str) -> Any:
    return mariadb_service.connect(url) if url.startswith("mysql") else psycopg.connect(url)


def insert(url: str, *ids: int) -> None:
    """One transaction per id, on one connection."""
    connection = connect(url)
    try:
        for number in ids:
            connection.cursor().execute("INSERT INTO t VALUES (%s)", [number])
            connection.commit()
    finally:
        connection.close()


def insert_prepared(url: str, *ids: int) -> None:
    """The same with everything prepared, COMMIT too."""
    with psycopg.connect(url, autocommit=True) as connection:
        for number in ids:
            connection.execute("BEGIN", prepare=True)
            connection.execute("INSERT INTO t VALUES (%s)", [number], prepare=True)
            connection.execute("COMMIT", prepare=True)


def stored(database: Database) -> list[int]:
    return database.column("SELECT id FROM t ORDER BY id")


def test_it_passes(network: Database) -> None:
    with Proxy(network.url) as proxy:
        insert(proxy.url, *range(20))
        assert (proxy.seen, proxy.cut) == (20, 0)
    assert stored(network) == list(range(20))


@pytest.mark.parametrize(("mode", "last"), [("cut_before", 2), ("cut_after", 3)])
def test_it_cuts_the_third_commit(network: Database, mode: Mode, last: int) -> None:
    with Proxy(network.url, mode, every=3) as proxy:
        with pytest.raises(LOST):
            insert(proxy.url, 1, 2, 3, 4)
        assert (proxy.seen, proxy.cut) == (3, 1)
    assert stored(network) == list(range(1, last + 1))


def test_it_cuts_so_many_times_only(network: Database) -> None:
    with Proxy(network.url, "cut_before", times=1) as proxy:
        with pytest.raises(LOST):
            insert(proxy.url, 1)
        insert(proxy.url, 2)
    assert stored(network) == [2]


def test_it_counts_only_commits_of_some_transactions(network: Database) -> None:
    with Proxy(network.url, "cut_after", of="delete") as proxy:
        insert(proxy.url, *range(10))
        assert proxy.seen == 0
        connection = connect(proxy.url)
        connection.cursor().execute("DELETE FROM t WHERE id = 3")
        with pytest.raises(LOST):
            connection.commit()
        connection.close()
    assert stored(network) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_it_stalls_until_released(network: Database) -> None:
    with Proxy(network.url, "stall") as proxy:
        client = threading.Thread(target=insert, args=(proxy.url, 1))
        client.start()
        proxy.wait(cut=1)
        assert stored(network) == []
        proxy.release()
        client.join(20)
        assert not client.is_alive()
    assert stored(network) == [1]


def test_it_severs(network: Database) -> None:
    with Proxy(network.url) as proxy:
        connection = connect(proxy.url)
        connection.cursor().execute("INSERT INTO t VALUES (1)")
        proxy.sever()
        with pytest.raises(LOST):
            connection.cursor().execute("INSERT INTO t VALUES (2)")
        connection.close()
    assert stored(network) == []


def test_extended_protocol(postgresql: Database) -> None:
    """A prepared COMMIT, and `of` in a statement that is sent by name only."""
    postgresql.script("CREATE TABLE t (id integer PRIMARY KEY)")
    with Proxy(postgresql.url, "cut_after", every=4, of="insert") as proxy:
        with pytest.raises(LOST):
            insert_prepared(proxy.url, *range(5))
        assert (proxy.seen, proxy.cut) == (4, 1)
    assert stored(postgresql) == [0, 1, 2, 3]


def test_a_server_that_is_down_looks_down() -> None:
    with Proxy("postgresql://nobody@127.0.0.1:1/x") as proxy, pytest.raises(psycopg.OperationalError):
        psycopg.connect(proxy.url)
