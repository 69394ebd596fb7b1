"""--vacuum and --analyze after the last batch, and what the end says of the space that the table takes."""

import json

import pytest

import batchops as library
from batchops.errors import RefusedError
from tests.bulk.plan.test_roles import role
from tests.command import Batchops
from tests.databases.numbered import numbered
from tests.services.database import Database

ROWS = 20_000


@pytest.fixture
def table(database: Database) -> Database:
    if database.backend == "sqlite":
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("VACUUM")
    numbered(database, ROWS, n=("integer", "i % 10"))
    return database


@pytest.mark.in_turn
def test_analyze(table: Database, batchops: Batchops) -> None:
    done = batchops(
        "purge", "t", "--url", table.url, "--where", "n < 5", "--analyze", "-y", "--json", "--log-format", "text"
    )
    assert done.code == 0, done.err
    assert "ANALYZE t is running" in done.err
    assert done.json()["maintained"] == ["ANALYZE"]
    space = done.json()["space"]
    assert space["bytes"] > 0
    assert ("VACUUM" in space["returned_by"]) or ("OPTIMIZE TABLE" in space["returned_by"])
    if table.backend == "postgresql":
        assert table.scalar("SELECT reltuples FROM pg_class WHERE relname = 't'") == ROWS // 2
    if table.backend == "sqlite":
        assert table.scalar("SELECT count(*) FROM sqlite_stat1 WHERE tbl = 't'") >= 1


def test_vacuum_in_postgresql(postgresql: Database) -> None:
    numbered(postgresql, ROWS, n=("integer", "i % 10"))
    before = postgresql.scalar("SELECT pg_relation_size('t')")
    done = library.purge(url=postgresql.url, table="t", where="id > 100", vacuum=True)
    assert (done.reason, done.rows) == ("done", ROWS - 100)
    assert done.space is not None
    assert postgresql.scalar("SELECT pg_relation_size('t')") < before / 10  # the end of the table is given back


def test_vacuum_in_sqlite_is_the_incremental_one(sqlite: Database) -> None:
    sqlite.execute("PRAGMA auto_vacuum = INCREMENTAL")
    sqlite.execute("VACUUM")
    numbered(sqlite, ROWS, n=("integer", "i % 10"))
    before = sqlite.scalar("PRAGMA page_count")
    done = library.purge(url=sqlite.url, table="t", where="id > 100", vacuum=True)
    assert (done.reason, done.rows) == ("done", ROWS - 100)
    assert sqlite.scalar("PRAGMA freelist_count") == 0
    assert sqlite.scalar("PRAGMA page_count") < before * 0.7  # the ledger takes some
    assert done.space is not None
    assert done.space.free_bytes == 0


def test_a_file_that_has_no_incremental_vacuum_is_refused_before_the_first_row(sqlite: Database) -> None:
    numbered(sqlite, 100, n=("integer", "i % 10"))
    with pytest.raises(RefusedError, match="auto_vacuum is not INCREMENTAL"):
        library.purge(url=sqlite.url, table="t", where="n = 1", vacuum=True)
    assert sqlite.scalar("SELECT count(*) FROM t") == 100


def test_mariadb_has_no_vacuum(mariadb: Database, batchops: Batchops) -> None:
    numbered(mariadb, 100, n=("integer", "i % 10"))
    done = batchops("purge", "t", "--url", mariadb.url, "--where", "n = 1", "--vacuum", "-yq", "--json")
    assert done.code == 12
    assert "OPTIMIZE TABLE t" in done.json()["error"]["hint"]
    assert mariadb.scalar("SELECT count(*) FROM t") == 100


def test_who_does_not_own_the_table_is_told_before_the_first_row(postgresql: Database, batchops: Batchops) -> None:
    """The server itself would skip it with a warning."""
    numbered(postgresql, 100, n=("integer", "i % 10"))
    with role(postgresql, "SELECT, DELETE, UPDATE") as url:
        words = ("purge", "t", "--url", url, "--where", "n = 1", "--ledger", "none", "-yq", "--json")
        done = batchops(*words, "--vacuum")
        assert (done.code, "is for its owner" in done.json()["error"]["message"]) == (12, True), done
        assert batchops(*words).json()["rows"] == 10


@pytest.mark.in_turn
def test_nothing_changed_needs_no_maintenance(table: Database, batchops: Batchops) -> None:
    done = batchops("purge", "t", "--url", table.url, "--where", "n = 99", "--analyze", "-yq", "--json")
    assert (done.code, "maintained" in done.json()) == (0, False)


@pytest.mark.in_turn
def test_the_plan_says_what_follows(table: Database, batchops: Batchops) -> None:
    shown = batchops("purge", "t", "--url", table.url, "--where", "n = 1", "--analyze", "--dry-run")
    assert "  then      ANALYZE t" in shown.out.splitlines()
    told = batchops("purge", "t", "--url", table.url, "--where", "n = 1", "--analyze", "--dry-run", "--json")
    assert json.loads(told.out)["plan"]["afterwards"] == ["ANALYZE t"]


@pytest.mark.in_turn
def test_the_end_says_what_the_run_has_freed(table: Database) -> None:
    """Measured where the database tells; on PostgreSQL by an estimate that is named as one."""
    done = library.purge(url=table.url, table="t", where="id > 100").space
    assert done is not None
    assert done.freed_bytes is not None
    basis = str(done.freed_basis)
    if table.backend == "sqlite":
        free = table.scalar("PRAGMA freelist_count") * table.scalar("PRAGMA page_size")
        assert (abs(done.freed_bytes - free) <= 0.3 * free, "pages" in basis) == (True, True)
    elif table.backend == "postgresql":
        size = table.scalar("SELECT pg_table_size('t')")
        assert (0.5 * size < done.freed_bytes < 1.5 * size, "an estimate" in basis) == (True, True)
    else:
        assert ("data_free" in basis, done.freed_bytes >= 0) == (True, True)
    again = library.backfill(url=table.url, table="t", set=["n = 1"], all_rows=True).space
    assert again is not None
    assert (again.freed_bytes, again.returned_by) == (None, None)


def test_what_vacuum_returned_is_measured(postgresql: Database) -> None:
    numbered(postgresql, ROWS, n=("integer", "i % 10"))
    before = postgresql.scalar("SELECT pg_total_relation_size('t')")
    done = library.purge(url=postgresql.url, table="t", where="id > 100", vacuum=True)
    assert done.space is not None
    returned = before - postgresql.scalar("SELECT pg_total_relation_size('t')")
    assert (done.space.freed_bytes, done.space.freed_basis) == (returned, "returned to the disk")
