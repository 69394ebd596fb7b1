"""The walk over blocks: tables that are written anew, grow, have no key, no statistics, or huge rows."""

import pytest

import batchops as library
from tests.bulk.strategies.between_batches import at_batch
from tests.race import Writers
from tests.race import make as make_race
from tests.services.database import Database

ROWS = 20_000
OLD = "kind = 0"


def make(database: Database, options: str = "", rows: int = ROWS, key: str = "PRIMARY KEY") -> None:
    """One row in four matches."""
    database.script(
        f"CREATE TABLE t (id integer {key}, kind integer, note text) {options};"
        f"INSERT INTO t SELECT i, i % 4, repeat('x', i % 90) FROM generate_series(1, {rows}) i"
    )
    database.execute("VACUUM ANALYZE t")


def purge(database: Database, **options: object) -> "library.Finished":
    usual = {"url": database.url, "table": "t", "where": OLD, "batch_size": 200, "strategy": "block"}
    return library.purge(**usual | options)


def left(database: Database) -> tuple[int, int]:
    """Rows that match, and the others."""
    matching, every = database.rows(f"SELECT count(*) FILTER (WHERE {OLD}), count(*) FROM t")[0]
    return matching, every - matching


@pytest.mark.wide(1)
@pytest.mark.parametrize(
    ("rewrite", "workers"),
    [
        ("VACUUM FULL t", 3),
        ("CLUSTER t USING t_pkey", 1),
        pytest.param("VACUUM FULL t", 1, marks=pytest.mark.full),
        pytest.param("CLUSTER t USING t_pkey", 3, marks=pytest.mark.full),
        pytest.param("ALTER TABLE t ALTER note TYPE varchar", 1, marks=pytest.mark.full),
    ],
)
def test_a_table_written_anew(
    postgresql: Database, rewrite: str, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows lie elsewhere, also behind the cursor: the pass begins again."""
    monkeypatch.setattr("batchops.bulk.strategies.block.WORTH_SPLITTING", 500)
    make(postgresql)
    done = purge(postgresql, workers=workers, on_event=at_batch(9, lambda: postgresql.execute(rewrite)))
    assert (done.reason, done.strategy) == ("done", "block")
    assert left(postgresql) == (0, ROWS * 3 // 4)


def test_a_table_written_anew_between_two_runs(postgresql: Database) -> None:
    """The cursor of the run that was ended by a limit means nothing any more."""
    make(postgresql)
    first = purge(postgresql, max_batches=7)
    assert first.reason == "max-batches"
    postgresql.execute("VACUUM FULL t")
    assert purge(postgresql).reason == "done"
    assert left(postgresql) == (0, ROWS * 3 // 4)


def test_a_table_emptied_meanwhile(postgresql: Database) -> None:
    make(postgresql)
    done = purge(postgresql, on_event=at_batch(5, lambda: postgresql.execute("TRUNCATE t")))
    assert done.reason == "done"
    assert left(postgresql) == (0, 0)


def test_a_table_that_grows(postgresql: Database) -> None:
    """What arrives behind the end is for the next run, or for a further pass."""
    make(postgresql)
    grow = f"INSERT INTO t SELECT i, 0 FROM generate_series({ROWS + 1}, {ROWS + 3_000}) i"
    done = purge(postgresql, on_event=at_batch(3, lambda: postgresql.execute(grow)))
    assert done.reason == "done"
    assert postgresql.scalar(f"SELECT count(*) FROM t WHERE {OLD} AND id <= {ROWS}") == 0
    purge(postgresql)
    assert left(postgresql) == (0, ROWS * 3 // 4)


def test_without_a_key(postgresql: Database) -> None:
    make(postgresql, key="")
    postgresql.script("INSERT INTO t SELECT * FROM t")
    done = purge(postgresql)
    assert (done.reason, done.strategy) == ("done", "block")
    assert left(postgresql) == (0, ROWS * 3 // 4 * 2)


def test_huge_rows(postgresql: Database) -> None:
    """Stored out of line, and one or two to a block."""
    postgresql.script(
        "CREATE TABLE t (id integer PRIMARY KEY, kind integer, note text, big text);"
        "ALTER TABLE t ALTER note SET STORAGE PLAIN; ALTER TABLE t ALTER big SET STORAGE EXTERNAL;"
        "INSERT INTO t SELECT i, i % 4, repeat('x', 3000), repeat('y', 30000) FROM generate_series(1, 600) i; ANALYZE t"
    )
    done = purge(postgresql, batch_size=None)
    assert (done.reason, done.strategy, done.rows) == ("done", "block", 150)
    assert left(postgresql) == (0, 450)


def test_an_empty_table(postgresql: Database) -> None:
    make(postgresql, rows=0)
    done = purge(postgresql)
    assert (done.reason, done.rows) == ("done", 0)


def test_a_table_that_was_never_analysed(postgresql: Database) -> None:
    postgresql.script(
        "CREATE TABLE t (id integer PRIMARY KEY, kind integer, note text) WITH (autovacuum_enabled = off);"
        f"INSERT INTO t SELECT i, i % 4, '' FROM generate_series(1, {ROWS}) i"
    )
    assert postgresql.scalar("SELECT reltuples FROM pg_class WHERE relname = 't'") in (-1, 0)
    done = purge(postgresql, workers=2)
    assert (done.reason, done.strategy) == ("done", "block")
    assert left(postgresql) == (0, ROWS * 3 // 4)


@pytest.mark.wide(1)
@pytest.mark.parametrize("options", ["WITH (fillfactor = 20)", "WITH (autovacuum_enabled = off)"])
def test_storage_options(postgresql: Database, options: str) -> None:
    make(postgresql, options)
    assert purge(postgresql).rows == ROWS // 4
    assert left(postgresql) == (0, ROWS * 3 // 4)


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.full), 4])
@pytest.mark.parametrize(
    "most", [pytest.param(1, marks=pytest.mark.full), 77, pytest.param(1_000, marks=pytest.mark.full)]
)
def test_max_rows_under_concurrent_updates(
    postgresql: Database, most: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchops.bulk.strategies.block.WORTH_SPLITTING", 200)
    make_race(postgresql)
    with Writers(postgresql):
        done = purge(
            postgresql, table="jobs", where="status = 'old'", strategy="block", batch_size=20, max_rows=most,
            workers=workers, allow=["triggers"],
        )  # fmt: skip
    assert (done.reason, done.rows) == ("max-rows", most)
    assert postgresql.scalar("SELECT count(*) FROM shadow WHERE own = 1") == most


def test_a_backfill_is_refused(postgresql: Database) -> None:
    make(postgresql)
    with pytest.raises(library.BatchopsError, match="backfill") as refused:
        library.backfill(url=postgresql.url, table="t", where=OLD, set=["kind = 1"], strategy="block")
    assert refused.value.exit == 12
