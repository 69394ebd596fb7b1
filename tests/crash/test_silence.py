"""A server that has gone silent, its link half open: the tool gives up within a bound, and the next run finds out."""

import threading
import time

import psycopg
import pytest

from batchops.db.postgresql.sessions import WatchedConnection
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.crash.scenario import COUNT_UP, MATCHING, at, job, make
from tests.figures import Figures
from tests.services.database import Database
from tests.services.proxy import Proxy


def test_a_watched_connection_gives_up(postgresql: Database) -> None:
    postgresql.script("CREATE TABLE t (id integer PRIMARY KEY)")
    with Proxy(postgresql.url, "stall", of="insert") as proxy:
        connection = WatchedConnection.connect(proxy.url)
        connection.silence = 0.5
        connection.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(psycopg.OperationalError, match="no answer"):
            connection.commit()
        assert connection.closed
    assert postgresql.column("SELECT id FROM t") == []


def test_a_watched_connection_waits_for_what_the_server_is_at(postgresql: Database) -> None:
    with WatchedConnection.connect(postgresql.url) as connection:
        connection.silence = 5.0
        answer = connection.execute("SELECT pg_sleep(0.7), 7").fetchone()
    assert answer == ("", 7)


@pytest.mark.full
@pytest.mark.parametrize("fate", ["never arrives", "arrives late"])
@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_a_silent_server(batchops: Batchops, new_database: NewDatabase, name: str, fate: str) -> None:
    database = new_database(name)
    make(database)
    with Proxy(database.url, "stall", of="update batchops_worker") as proxy:
        silent = batchops(
            *at(proxy.url), "--json", "--batch-size", "200",
            "--statement-timeout", "1s", "--lock-timeout", "1s", "--retry-timeout", "2s",
        )  # fmt: skip
        assert silent.code == 75, silent
        assert silent.json()["reason"] == "busy"
        assert COUNT_UP.wrong(database) is not None
        next_run = threading.Timer(0.3, proxy.release if fate == "arrives late" else proxy.sever)
        next_run.start()
        done = batchops(*job(database, "--json", "--batch-size", "200"))
        next_run.join()
    assert done.code == 0, done
    assert done.json()["rows"] == MATCHING
    assert COUNT_UP.wrong(database) is None


@pytest.mark.full
@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_a_server_that_is_silent_for_a_while(
    batchops: Batchops, new_database: NewDatabase, name: str, figures: Figures
) -> None:
    """The batch is given up and asked for again, and the run goes on by itself."""
    database = new_database(name)
    make(database)
    with Proxy(database.url, "stall", every=3, times=1, of="update batchops_worker") as proxy:
        before = time.monotonic()
        done = batchops(
            *at(proxy.url), "--json", "--batch-size", "200", "--statement-timeout", "1s", "--lock-timeout", "1s"
        )
        figures(seconds=time.monotonic() - before)
        assert proxy.cut == 1
    assert done.code == 0, done
    assert done.json()["rows"] == MATCHING
    assert COUNT_UP.wrong(database) is None
