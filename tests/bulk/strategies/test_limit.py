"""The walk without a key: it ends by what its selector found, is for purges only, and says what it costs."""

import pytest

import batchops as library
from batchops.errors import RefusedError
from tests.command import Batchops
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

ROWS = 3_000
_MAKE = {
    "postgresql": "INSERT INTO t SELECT i / 3, i % 4 FROM generate_series(0, {most}) i",
    "mysql": "INSERT INTO t SELECT seq DIV 3, seq % 4 FROM seq_0_to_{most}",
    "sqlite": "WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < {most}) "
    "INSERT INTO t SELECT i / 3, i % 4 FROM c",
}


def make(database: Database) -> None:
    """No key, three rows of each number, NULLs among the matching ones' neighbours."""
    database.script("CREATE TABLE t (n integer, kind integer)")
    database.execute(_MAKE[database.backend].format(most=ROWS - 1))
    database.script("INSERT INTO t VALUES (NULL, NULL), (NULL, 0)")


def left(database: Database) -> tuple[int, int]:
    """Rows that match, and all."""
    return database.scalar("SELECT count(*) FROM t WHERE kind = 0"), database.scalar("SELECT count(*) FROM t")


@pytest.mark.parametrize(
    ("size", "workers"),
    [
        (100, 3),
        (751, 1),
        pytest.param(100, 1, marks=pytest.mark.full),
        pytest.param(5_000, 1, marks=pytest.mark.full),
    ],
    ids=["several, workers", "exactly all", "several", "more than all"],
)
def test_purge(database: Database, size: int, workers: int) -> None:
    make(database)
    done = library.purge(
        url=database.url, table="t", where="kind = 0", strategy="limit", batch_size=size, workers=workers,
        allow=["no-key", "scan"],
    )  # fmt: skip
    assert (done.reason, done.strategy, done.rows) == ("done", "limit", ROWS // 4 + 1)
    assert left(database) == (0, ROWS * 3 // 4 + 1)


def test_max_rows(database: Database) -> None:
    make(database)
    options = {"url": database.url, "table": "t", "where": "kind = 0", "strategy": "limit", "allow": ["no-key", "scan"]}
    done = library.purge(**options, max_rows=101, batch_size=40)
    assert (done.reason, done.rows) == ("max-rows", 101)
    assert left(database)[0] == ROWS // 4 + 1 - 101
    assert library.purge(**options).reason == "done"
    assert left(database) == (0, ROWS * 3 // 4 + 1)


def test_a_backfill_is_refused(batchops: Batchops, database: Database) -> None:
    make(database)
    arguments = ("backfill", "t", "--set", "kind = 0", "--where", "kind = 1", "--url", database.url, "-y", "--json")
    done = batchops(*arguments, "--strategy", "limit", "--allow", "no-key")
    assert done.code == 12, done
    assert left(database)[0] == ROWS // 4 + 1


def test_the_plan_says_what_it_costs(batchops: Batchops, mariadb: Database) -> None:
    make(mariadb)
    refused = batchops("purge", "t", "--where", "kind = 0", "--url", mariadb.url, "-n")
    assert refused.code == 12
    assert "limit" in refused.out + refused.err
    told = batchops("purge", "t", "--where", "kind = 0", "--url", mariadb.url, "-n", "--strategy", "limit")
    assert "reads again what earlier batches left behind" in told.out + told.err


def test_a_table_without_rowid_has_nothing_to_limit_by(sqlite: Database) -> None:
    sqlite.script("CREATE TABLE t (id integer PRIMARY KEY) WITHOUT ROWID")
    with pytest.raises(RefusedError, match="its rows have no number"):
        library.purge(url=sqlite.url, table="t", all_rows=True, strategy="limit")
