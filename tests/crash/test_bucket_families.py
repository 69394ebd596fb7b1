"""kill -9 while families go to a bucket: bucket and database together are what there was, of every table."""

import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from tests.bulk.archiving.bucket import Bucket
from tests.bulk.archiving.test_children import compared_with
from tests.bulk.children import shop
from tests.command import Batchops
from tests.crash.test_kills import unfinished, wait_for_progress
from tests.figures import Figures
from tests.services.database import Database
from tests.services.http_proxy import HttpProxy
from tests.services.s3 import new_bucket
from tests.services.server import Server


@pytest.fixture
def buckets(service: Callable[[str], Server]) -> Iterator[Callable[[], Bucket]]:
    """Makes a new bucket."""
    store = service("s3")
    with HttpProxy(store.url) as proxy:
        yield lambda: Bucket(new_bucket(store), proxy)


def killed(batchops: Batchops, database: Database, bucket: Bucket, kills: int, *more: str) -> int:
    """How many of so many kills met a run at work; then the command runs to its end, and the rows are back."""
    words = ("archive", "customers", "--where", shop.GONE, "--with-children", "--to", bucket.url, "--format", "jsonl")
    words = (*words, "--segment-size", "64KiB", "--url", database.url, "-y", *more)
    before, chance, met = shop.seen(database), random.Random(4711), 0
    for turn in range(kills):
        process = batchops.start(*words, "-q", "--sleep", "10ms", env=bucket.env)
        after = chance.uniform(0, 1)
        if after > 0.3:
            wait_for_progress(process, database)
        time.sleep(after / 2)  # the kill's moment, no wait for a state
        process.send_signal(signal.SIGKILL)
        process.wait()
        met += unfinished(database)
        assert not shop.lost(database)
        if turn % 5 == 0:
            assert not lost(before, database, bucket.texts(undecided=True))
    done = batchops(*words, "--json", env=bucket.env)
    assert (done.code, done.json()["unsealed"]) == (0, 0), done
    archived, nulled = bucket.texts(), bucket.texts(nulled=True)
    compared_with(before, database, archived, nulled, "customers", shop.EDGES, lambda row: row["gone"] == 1)
    assert batchops("archive", "verify", bucket.url, "--against", database.url, env=bucket.env).code == 0
    restored = batchops("restore", bucket.url, "--url", database.url, "-y", "--json", env=bucket.env)
    assert restored.code == 0, restored
    assert shop.seen(database) == before
    return met


def lost(before: Mapping[str, Sequence[Any]], database: Database, archived: Mapping[str, Any]) -> dict[str, set[int]]:
    """The rows that are neither in their table nor in the bucket."""
    there = shop.seen(database)
    found = {
        table: {row["id"] for row in rows}
        - {row["id"] for row in there[table]}
        - {int(row["id"]) for row in archived.get(table, [])}
        for table, rows in before.items()
    }
    return {table: ids for table, ids in found.items() if ids}


@pytest.mark.in_turn
def test_some_kills(batchops: Batchops, database: Database, buckets: Callable[[], Bucket]) -> None:
    shop.make(database, customers=30)
    assert killed(batchops, database, buckets(), 4, "--batch-size", "60") >= 1


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("workers", ["1", "3"])
def test_many_kills(
    batchops: Batchops, database: Database, buckets: Callable[[], Bucket], figures: Figures, workers: str
) -> None:  # fmt: skip
    met = 0
    for _ in range(3):
        for name in reversed(shop.TABLES):
            database.script(f"DROP TABLE IF EXISTS {name}")
        shop.make(database, customers=160)
        met += killed(batchops, database, buckets(), 20, "--batch-size", "120", "--workers", workers)
    figures(kills=60, met_a_run_at_work=met)
    assert met >= 20
