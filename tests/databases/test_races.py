"""While others insert, delete and flip: nothing is touched that did not match when it was, and the run ends."""

import time

import pytest
import sqlalchemy as sa

import batchops as library
from batchops.bulk.operations.delete import Delete
from batchops.bulk.strategies.strategy import Batch
from batchops.db.mysql.sessions import MySQLSessions
from batchops.db.postgresql.sessions import PostgreSQLSessions
from batchops.runtime.batch_size import Size
from tests.race import FLIPS, OLD, ROWS, Writers, forgotten, make, touched_wrongly
from tests.services.database import Database

OWN = "SELECT count(*) FROM shadow WHERE own = 1"


def settings(database: Database) -> dict[str, object]:
    allow = ("triggers",)  # the shadow log's
    return {"url": database.url, "table": "jobs", "where": OLD, "batch_size": 40, "sleep": "3ms", "allow": allow}


def in_a_hurry(database: Database) -> Writers:
    """Every other write flips what matches, and no lock is held for long."""
    return Writers(database, 4, kinds=(*FLIPS, "delete", "insert"), hold=0.0)


def flips(writers: Writers) -> int:
    return sum(writers.writes[kind] for kind in FLIPS)


@pytest.mark.in_turn
def test_purge(database: Database) -> None:
    make(database)
    with in_a_hurry(database) as writers:
        finished = library.purge(**settings(database))
    assert finished.reason == "done", finished
    assert touched_wrongly(database, OLD) == []
    assert forgotten(database, OLD) == []
    assert finished.rows == database.scalar(OWN) > ROWS / 8
    assert flips(writers) > 30, "the race did not take place"


@pytest.mark.full
@pytest.mark.in_turn
def test_backfill(database: Database) -> None:
    """Each row at most once, though what it sets makes it match no less."""
    make(database)
    with in_a_hurry(database) as writers:
        finished = library.backfill(**settings(database), set=["n = n + 1"])
    assert finished.reason == "done", finished
    assert touched_wrongly(database, OLD) == []
    assert database.column("SELECT id FROM shadow WHERE own = 1 GROUP BY id HAVING count(*) > 1") == []
    assert finished.rows == database.scalar(OWN) > ROWS / 8
    assert flips(writers) > 30, "the race did not take place"


@pytest.mark.full
@pytest.mark.parametrize("name", ["postgresql", pytest.param("mariadb", marks=pytest.mark.full)])
def test_without_the_condition_repeated_it_would_fail(  # type: ignore[no-untyped-def]  # a fixture of ours
    name: str, new_database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same race and the same check, with keys that were listed without a lock a moment ago, and trusted."""

    class Trusting(Delete):
        """Deletes the keys of the part, whatever has become of their rows."""

        def statement(self, part: Batch) -> sa.Delete:
            time.sleep(0.02)
            table = part.selection.table.called
            return sa.delete(table).where(sa.true() if part.where is None else part.where)

    database = new_database(name)
    make(database)
    monkeypatch.setattr("batchops.bulk.purge.Delete", Trusting)
    monkeypatch.setattr(Size, "listed", True)
    monkeypatch.setattr(PostgreSQLSessions, "locks_rows", False)
    monkeypatch.setattr(MySQLSessions, "locks_rows", False)
    with in_a_hurry(database):
        library.purge(**settings(database) | {"strategy": "key"})
    assert touched_wrongly(database, OLD), "a wrong variant went unnoticed"
