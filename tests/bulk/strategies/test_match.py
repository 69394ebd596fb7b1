"""The strategy match: sparse and dense rows, tables that are written anew, places taken by other rows, refused rows."""

from contextlib import closing

import pytest

import batchops as library
from batchops.bulk.strategies.cursor import Range
from batchops.bulk.strategies.match_keys import MatchStrategy
from batchops.bulk.strategies.strategy import Target
from batchops.db.database import connect
from batchops.db.urls import address
from batchops.events import Rejected
from batchops.sql.selection import Selection
from tests.bulk.strategies.between_batches import at_batch
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

ROWS = 20_000
SPARSE, DENSE = "kind = 3", "kind < 50"
"""One row in a hundred, and half of them."""
_MAKE = {
    "postgresql": f"INSERT INTO t SELECT i, i % 100, 0, repeat('x', i % 90) FROM generate_series(1, {ROWS}) i",
    "mysql": f"INSERT INTO t SELECT seq, seq % 100, 0, repeat('x', seq % 90) FROM seq_1_to_{ROWS}",
    "sqlite": f"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {ROWS}) "
    "INSERT INTO t SELECT i, i % 100, 0, substr(hex(zeroblob(50)), 1, i % 90) FROM c",
}
KEPT = (1_003, 7_003, 15_003)
"""Rows that a trigger refuses to let go."""
REFUSING = {
    "postgresql": "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    f"IF OLD.id IN {KEPT} THEN RAISE EXCEPTION 'kept'; END IF; RETURN OLD; END $$;"
    "CREATE TRIGGER refuse BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION refuse();",
    "mysql": f"CREATE TRIGGER refuse BEFORE DELETE ON t FOR EACH ROW IF OLD.id IN {KEPT} THEN "
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'kept'; END IF",
    "sqlite": f"CREATE TRIGGER refuse BEFORE DELETE ON t WHEN OLD.id IN {KEPT} BEGIN SELECT RAISE(ABORT, 'kept'); END",
}
_ANALYZE = {"postgresql": "VACUUM ANALYZE t", "mysql": "ANALYZE TABLE t", "sqlite": "ANALYZE"}


def make(database: Database, key: str = "PRIMARY KEY (id)") -> None:
    key = f", {key}" if key else ""
    database.script(
        f"CREATE TABLE t (id integer NOT NULL, kind integer NOT NULL, n integer NOT NULL, note varchar(100){key})"
    )
    database.execute(_MAKE[database.backend])
    database.script("CREATE INDEX t_kind ON t (kind)")
    database.execute(_ANALYZE[database.backend])


def purge(database: Database, where: str, **options: object) -> "library.Finished":
    return library.purge(
        **{"url": database.url, "table": "t", "where": where, "strategy": "match", "batch_size": 20} | options
    )


def left(database: Database, where: str) -> tuple[int, int]:
    """Rows that match, and the others."""
    return database.scalar(f"SELECT count(*) FROM t WHERE {where}"), database.scalar(
        f"SELECT count(*) FROM t WHERE NOT ({where})"
    )


@pytest.mark.parametrize("where", [SPARSE, DENSE])
def test_a_purge(database: Database, where: str) -> None:
    make(database)
    matching, others = left(database, where)
    done = purge(database, where, batch_size=None)
    assert (done.reason, done.strategy, done.rows) == ("done", "match", matching)
    assert left(database, where) == (0, others)


@pytest.mark.parametrize("where", [SPARSE, DENSE])
def test_a_backfill(database: Database, where: str) -> None:
    make(database)
    matching = left(database, where)[0]
    done = library.backfill(
        url=database.url, table="t", where=where, set=["n = n + 1"], strategy="match", batch_size=97
    )
    assert (done.reason, done.strategy, done.rows) == ("done", "match", matching)
    assert database.rows(f"SELECT n, count(*) FROM t WHERE {where} GROUP BY n") == [(1, matching)]
    assert database.scalar(f"SELECT count(*) FROM t WHERE n <> 0 AND NOT ({where})") == 0


@pytest.mark.wide(1)
@pytest.mark.parametrize("where", [SPARSE, DENSE])
def test_a_key_of_two_columns(database: Database, where: str) -> None:
    make(database, "PRIMARY KEY (kind, id)")
    matching, others = left(database, where)
    done = library.backfill(url=database.url, table="t", where=where, set=["n = n + 1"], strategy="match")
    assert (done.reason, done.strategy, done.rows) == ("done", "match", matching)
    assert database.rows(f"SELECT n, count(*) FROM t WHERE {where} GROUP BY n") == [(1, matching)]
    assert purge(database, where, batch_size=1_000).rows == matching
    assert left(database, where) == (0, others)


def test_it_goes_on_behind_its_checkpoint(database: Database) -> None:
    """What a new process reads lies behind what is done."""
    make(database)
    job = {"url": database.url, "table": "t", "where": SPARSE, "strategy": "match", "batch_size": 20}
    first = library.backfill(**job, set=["n = n + 1"], max_batches=4)
    assert (first.reason, first.rows) == ("max-batches", 80)
    assert library.backfill(**job, set=["n = n + 1"]).rows == ROWS // 100
    assert database.rows("SELECT n, count(*) FROM t GROUP BY n ORDER BY n") == [
        (0, ROWS - ROWS // 100),
        (1, ROWS // 100),
    ]


@pytest.mark.parametrize("most", [1, 77])
def test_max_rows(database: Database, most: int) -> None:
    make(database)
    before = left(database, DENSE)[0]
    assert (purge(database, DENSE, max_rows=most).rows, left(database, DENSE)[0]) == (most, before - most)


def test_without_a_key(postgresql: Database) -> None:
    make(postgresql, key="")
    postgresql.script("INSERT INTO t SELECT * FROM t")
    done = purge(postgresql, SPARSE)
    assert (done.reason, done.strategy, done.rows) == ("done", "match", 2 * ROWS // 100)


@pytest.mark.wide(2)
@pytest.mark.parametrize("where", [SPARSE, DENSE])
@pytest.mark.parametrize(
    ("rewrite", "workers"),
    [("VACUUM FULL t", 3), ("CLUSTER t USING t_kind", 1), pytest.param("VACUUM FULL t", 1, marks=pytest.mark.full)],
)
def test_a_table_written_anew(
    postgresql: Database, rewrite: str, workers: int, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every place means another row then: all of them are read again."""
    monkeypatch.setattr("batchops.bulk.strategies.match_keys.WORTH_SPLITTING", 50)
    make(postgresql)
    others = left(postgresql, where)[1]
    listen = at_batch(5, lambda: postgresql.execute(rewrite))
    done = purge(postgresql, where, workers=workers, batch_size=15 if where == SPARSE else 400, on_event=listen)
    assert (done.reason, done.strategy) == ("done", "match")
    assert left(postgresql, where) == (0, others)


@pytest.mark.full
def test_a_table_written_anew_between_two_runs(postgresql: Database) -> None:
    make(postgresql)
    assert purge(postgresql, SPARSE, max_batches=4).reason == "max-batches"
    postgresql.execute("VACUUM FULL t")
    assert purge(postgresql, SPARSE).reason == "done"
    assert left(postgresql, SPARSE) == (0, ROWS - ROWS // 100)


def test_a_place_that_another_row_takes(postgresql: Database) -> None:
    """VACUUM frees it, and an INSERT fills it with a row that does not match: that one stays."""
    make(postgresql)

    def replace_last() -> None:
        postgresql.execute("DELETE FROM t WHERE id > 19000")
        postgresql.execute("VACUUM (TRUNCATE off) t")
        postgresql.script("INSERT INTO t SELECT i, 99, 0, '' FROM generate_series(100001, 101000) i")

    done = purge(postgresql, SPARSE, on_event=at_batch(2, replace_last))
    assert (done.reason, done.rows) == ("done", 190)
    assert postgresql.scalar("SELECT count(*) FROM t WHERE id > 100000") == 1_000
    assert left(postgresql, SPARSE)[0] == 0


@pytest.mark.wide(1)
@pytest.mark.parametrize("where", [SPARSE, DENSE])
def test_a_refused_row_is_found_and_named(database: Database, where: str) -> None:
    make(database)
    matching, others = left(database, where)
    database.script(REFUSING[database.backend])
    events: list[object] = []
    done = purge(database, where, batch_size=100, on_event=events.append, allow=["triggers"])
    assert (done.reason, done.exit, done.rows) == ("incomplete", 3, matching - len(KEPT))
    assert sorted(event.key for event in events if isinstance(event, Rejected)) == sorted(f"id={i}" for i in KEPT)
    assert left(database, where) == (len(KEPT), others)


@pytest.mark.wide(1)
@pytest.mark.parametrize("kind", ["varchar(20)", "numeric(9, 2)"])
def test_a_key_that_is_no_whole_number(database: Database, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept in a file as it is, in the server's order."""
    monkeypatch.setattr("batchops.bulk.strategies.match_keys.WORTH_SPLITTING", 200)
    database.script(f"CREATE TABLE t (id {kind} NOT NULL PRIMARY KEY, kind integer NOT NULL, n integer NOT NULL)")
    rows = [(f"k{i * 7919 % 3_000}" if kind.startswith("v") else f"{i}.25", i % 3, 0) for i in range(3_000)]
    database.insert("t", ["id", "kind", "n"], rows)
    job = {"url": database.url, "table": "t", "where": "kind = 1", "strategy": "match", "workers": 3}
    first = library.backfill(**job, set=["n = n + 1"], batch_size=33, max_batches=9)
    assert (first.reason, first.rows) == ("max-batches", 9 * 33)
    assert library.backfill(**job, set=["n = n + 1"], batch_size=33).rows == 1_000
    assert database.rows("SELECT n, count(*) FROM t GROUP BY n ORDER BY n") == [(0, 2_000), (1, 1_000)]
    assert library.purge(**job, batch_size=70).rows == 1_000
    assert database.scalar("SELECT count(*) FROM t") == 2_000


def test_sqlite_finds_the_rows_by_its_index(sqlite: Database) -> None:
    """What keeps the writing statement to its list does not keep the reading one from an index."""
    make(sqlite)
    database = connect(address(sqlite.url, {}))
    backend = database.backend
    with closing(database), database.reading() as connection:
        table = backend.catalog.find(connection, None, "t")
        assert table is not None
        selection = Selection(table, SPARSE, backend.planner.shield)
        target = Target(connection, database.reading, backend, selection, ("id",), None, None, 0, (), look_again=False)
        rows = MatchStrategy(target)._part(connection, Range(None, None))
        assert rows is not None
        (detail,) = backend.planner.explain(connection, rows)
        assert "INDEX t_kind (kind=?)" in detail
