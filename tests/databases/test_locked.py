"""Rows that another transaction holds: their neighbours are done, they are told, and done once they are free."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.databases.numbered import Job, numbered
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

HELD = (7, 8, 10)
ROWS = 200
QUICK = {"lock_timeout": "200ms", "batch_size": 20}


@pytest.fixture(params=["postgresql", "mariadb"])
def table(request: pytest.FixtureRequest, new_database: NewDatabase) -> Database:
    database = new_database(request.param)
    numbered(database, ROWS, m=("integer", "0"))
    return database


@contextmanager
def held(database: Database, keys: Sequence[int] = HELD) -> Iterator[None]:
    """Somebody's transaction that has locked those rows and does not end."""
    with database.engine.connect() as connection:
        for key in keys:
            connection.exec_driver_sql(f"SELECT m FROM t WHERE id = {key} FOR UPDATE").all()
        yield
        connection.rollback()


def purged_around(table: Database, strategy: str) -> None:
    job = Job(table, "purge", where="m = 0", strategy=strategy, **QUICK)
    with held(table):
        finished = job()
        assert (finished.reason, finished.exit, finished.locked) == ("incomplete", 3, len(HELD))
        assert finished.rows == ROWS - len(HELD)
        # One wait where they are met and one at each visit, in each of two passes: not one for each half of a batch.
        assert finished.retries <= 6, finished
        assert table.column("SELECT id FROM t ORDER BY id") == list(HELD)
    after = job()
    assert (after.reason, after.exit, after.rows, after.locked) == ("done", 0, len(HELD), 0)


@pytest.mark.full
def test_purge(table: Database) -> None:
    purged_around(table, "key")


@pytest.mark.full
def test_purge_by_blocks(postgresql: Database) -> None:
    numbered(postgresql, ROWS, m=("integer", "0"))
    purged_around(postgresql, "block")


@pytest.mark.full
def test_purge_of_matches(table: Database) -> None:
    purged_around(table, "match")


@pytest.mark.full
def test_on_the_command_line(batchops: Batchops, table: Database) -> None:
    job = ("purge", "t", "--where", "m = 0", "--url", table.url, "-y", "--json", "--strategy", "key")
    job += ("--lock-timeout", "200ms")
    with held(table):
        done = batchops(*job)
    assert (done.code, done.json()["reason"], done.json()["locked"]) == (3, "incomplete", len(HELD)), done
    assert batchops(*job).code == 0
    assert table.scalar("SELECT count(*) FROM t") == 0


def test_every_row_once(table: Database) -> None:
    """What was locked is updated when it is free again, and nothing twice."""
    job = Job(table, "backfill", all_rows=True, set=["m = m + 1"], **QUICK)
    with held(table):
        finished = job(max_batches=14)
        assert 0 < finished.rows <= ROWS - len(HELD)
        assert table.column("SELECT DISTINCT m FROM t ORDER BY m") == [0, 1]
    after = job()
    assert after.exit == 0, after
    assert table.rows("SELECT m, count(*) FROM t GROUP BY m") == [(1, ROWS)]


@pytest.mark.full
def test_what_stays_locked_is_not_updated_twice_either(table: Database) -> None:
    job = Job(table, "backfill", all_rows=True, set=["m = m + 1"], **QUICK)
    with held(table):
        finished = job()
    assert (finished.exit, finished.locked) == (3, len(HELD))
    assert table.rows("SELECT m, count(*) FROM t GROUP BY m ORDER BY m") == [(0, len(HELD)), (1, ROWS - len(HELD))]


@pytest.mark.full
def test_a_lock_that_is_let_go_in_time(table: Database) -> None:
    """Come back to at the end, and done with: nothing is missing."""
    holder = held(table)
    holder.__enter__()
    batches = 0

    def hear(event: object) -> None:
        nonlocal batches
        batches += type(event).__name__ == "Committed"
        if batches == 5:
            holder.__exit__(None, None, None)

    finished = Job(table, "purge", where="m = 0", strategy="key", **QUICK)(hear=hear)
    assert (finished.reason, finished.rows, finished.locked) == ("done", ROWS, 0)
