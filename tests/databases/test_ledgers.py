"""Where progress lives: in the database itself, in another one, in a file, nowhere."""

from collections.abc import Callable
from pathlib import Path

import pytest

from batchops.errors import RefusedError
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.databases.numbered import Job, numbered
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

ROWS = 100
Place = Callable[[], str]


@pytest.fixture
def table(database: Database) -> Database:
    numbered(database, ROWS, m=("integer", "0"))
    return database


@pytest.fixture(params=["file", "another database"])
def ledger(request: pytest.FixtureRequest, new_database: NewDatabase, tmp_path: Path) -> str:
    return str(tmp_path / "ledger.db") if request.param == "file" else new_database("postgresql").url


def tables(database: Database) -> list[str]:
    query = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
        "postgresql": "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
        "mysql": "SELECT table_name FROM information_schema.tables WHERE table_schema = database()",
    }
    return database.column(query[database.backend])


def test_elsewhere(table: Database, ledger: str) -> None:
    """A run goes on from it, and the target holds nothing of ours."""
    job = Job(table, "purge", where="m = 0", ledger=ledger, batch_size=10)
    first = job(max_rows=30)
    assert (first.reason, first.rows) == ("max-rows", 30)
    second = job()
    assert (second.reason, second.rows) == ("done", ROWS - 30)
    assert second.run != first.run
    assert tables(table) == ["t"]
    assert table.scalar("SELECT count(*) FROM t") == 0


def test_a_repeatable_backfill_goes_on(table: Database, ledger: str) -> None:
    job = Job(table, "backfill", where="m = 0", set=["m = 7"], ledger=ledger, batch_size=10)
    first = job(max_batches=3)
    second = job()
    assert (first.reason, second.reason, second.run, second.rows) == ("max-batches", "done", first.run, ROWS)
    assert table.column("SELECT DISTINCT m FROM t") == [7]


def test_none(table: Database) -> None:
    job = Job(table, "purge", where="m = 0", ledger="none", batch_size=10)
    first = job(max_rows=30)
    assert (first.run, first.rows) == (None, 30)
    assert job().rows == ROWS - 30
    assert tables(table) == ["t"]


@pytest.mark.parametrize("place", ["none", "file", "url"])
def test_a_backfill_that_must_not_be_applied_twice_is_refused(
    batchops: Batchops, table: Database, tmp_path: Path, place: str
) -> None:
    file = tmp_path / "ledger.db"
    where = {"none": "none", "file": str(file), "url": f"sqlite:///{file}"}[place]
    if place == "url":
        file.touch()
    done = batchops(
        "backfill", "t", "--all-rows", "--set", "m = m + 1", "--url", table.url, "-y", "--json", "--ledger", where
    )
    assert done.code == 12, done
    assert done.json()["reason"] == "refused"
    assert "twice" in done.json()["error"]["message"]
    assert table.column("SELECT DISTINCT m FROM t") == [0]


def test_the_other_way_round(table: Database, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="twice"):
        Job(table, "backfill", all_rows=True, set=["m = (SELECT max(m) FROM t) + 1"], ledger=str(tmp_path / "x"))()


def test_it_warns(batchops: Batchops, table: Database, tmp_path: Path) -> None:
    for where, warning in (("none", "cannot be continued"), (str(tmp_path / "l.db"), "two commits")):
        done = batchops("purge", "t", "--where", "m = 1", "--url", table.url, "-y", "--ledger", where)
        assert done.code == 0, done
        assert warning in done.err


def test_another_schema(postgresql: Database) -> None:
    numbered(postgresql, ROWS, m=("integer", "0"))
    postgresql.script("CREATE SCHEMA ops")
    job = Job(postgresql, "backfill", all_rows=True, set=["m = m + 1"], ledger_schema="ops", batch_size=10)
    assert job(max_batches=2).reason == "max-batches"
    assert job().rows == ROWS
    assert tables(postgresql) == ["t"]
    assert postgresql.column("SELECT DISTINCT m FROM t") == [1]
