"""A condition that bounds the key itself: the run visits that stretch of the key, and nothing else of the table."""

import pytest

import batchops as library
from tests.bulk.strategies.test_match import ROWS, left, make
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

TENANT = "kind = 3"
BOUNDED = (
    TENANT,
    "kind = 3 AND id > 5000 AND id % 7 = 0",
    "kind BETWEEN 40 AND 42",
    "kind = 0",
    "kind >= 98",
    "kind = 100",
)
"""The first and the last of the key among them, and one that no row has."""


def by_tenant(database: Database) -> None:
    """Without the other index, which finds a tenant's rows as fast."""
    make(database, "PRIMARY KEY (kind, id)")
    database.script("DROP INDEX t_kind ON t" if database.backend == "mysql" else "DROP INDEX t_kind")
    if database.backend == "postgresql":
        database.execute("VACUUM ANALYZE t")


@pytest.mark.parametrize("where", BOUNDED)
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.wide(4)
def test_a_purge_of_a_stretch(database: Database, where: str, workers: int) -> None:
    by_tenant(database)
    matching, others = left(database, where)
    done = library.purge(url=database.url, table="t", where=where, strategy="key", workers=workers, batch_size=50)
    assert (done.reason, done.rows) == ("done", matching)
    assert left(database, where) == (0, others)
    assert done.read <= 3 * ROWS // 100


def test_a_backfill_of_a_tenant_is_resumed_and_done_once(database: Database) -> None:
    by_tenant(database)
    job = {"url": database.url, "table": "t", "where": TENANT, "set": ["n = n + 1"], "strategy": "key"}
    first = library.backfill(**job, batch_size=20, max_batches=4)
    assert (first.reason, first.rows) == ("max-batches", 80)
    assert library.backfill(**job, batch_size=20).rows == ROWS // 100
    assert database.rows(f"SELECT n, count(*) FROM t WHERE {TENANT} GROUP BY n") == [(1, ROWS // 100)]
    assert database.scalar("SELECT count(*) FROM t WHERE n <> 0") == ROWS // 100


@pytest.mark.wide(2)
@pytest.mark.parametrize(
    ("where", "strategies"),
    [
        ("id BETWEEN 5000 AND 5999", {"key", "match"}),
        ("id > 19000", {"key", "match"}),
        ("id IN (7, 19990)", {"match"}),
        ("id < 40 OR id > 19960", {"match"}),
    ],
)
def test_ids_far_apart_are_no_stretch(database: Database, where: str, strategies: set[str]) -> None:
    make(database)
    matching, others = left(database, where)
    done = library.purge(url=database.url, table="t", where=where)
    assert (done.reason, done.rows) == ("done", matching)
    assert done.strategy in strategies
    assert left(database, where) == (0, others)


def test_a_tenant_is_followed_by_its_key_where_the_table_has_no_other_order(database: Database) -> None:
    """Read once to be listed and once more to be deleted, its rows cost three times as much."""
    by_tenant(database)
    done = library.purge(url=database.url, table="t", where=TENANT)
    assert (done.reason, done.rows) == ("done", ROWS // 100)
    assert done.strategy == "key" or database.backend == "postgresql"  # whose rows lie all over the heap
