"""kill -9 while rows go to a bucket: archive and table together are the rows that there were, none lost, none twice."""

import random
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.bulk.archiving.bucket import Bucket
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.crash.scenario import MATCHING, ROWS, make
from tests.crash.test_kills import unfinished, wait_for_progress
from tests.services.database import Database
from tests.services.http_proxy import HttpProxy
from tests.services.s3 import new_bucket
from tests.services.server import Server

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]


@pytest.fixture
def bucket(service: Callable[[str], Server]) -> Iterator[Bucket]:
    store = service("s3")
    with HttpProxy(store.url) as proxy:
        yield Bucket(new_bucket(store), proxy)


@pytest.mark.parametrize("name", ["postgresql", "mariadb", "sqlite"])
@pytest.mark.parametrize("workers", ["1", "3"])
def test_many_kills(
    batchops: Batchops, new_database: NewDatabase, bucket: Bucket, name: str, workers: str
) -> None:  # fmt: skip
    database = new_database(name)
    make(database)
    text = "char(200)" if database.backend == "mysql" else "text"
    database.execute(f"ALTER TABLE t ADD COLUMN words {text} DEFAULT '{'x' * 150}'")
    chance, at_work = random.Random(4713), 0
    for turn in range(60):
        at_work += _killed(batchops, database, bucket, workers, chance.uniform(0.4, 2))
        if turn % 10 == 0:
            assert _wrong(database, bucket, undecided=True) is None
    done = batchops(*_words(database, bucket, workers), "--json", env=bucket.env)
    assert (done.code, done.json()["unsealed"]) == (0, 0), done
    assert _wrong(database, bucket) is None
    assert sum(bucket.rows().values()) == MATCHING
    assert batchops("archive", "verify", bucket.url, "--against", database.url, env=bucket.env).code == 0
    assert at_work >= 3


def _words(database: Database, bucket: Bucket, workers: str) -> tuple[str, ...]:
    where = ("--where", "kind < 4", "--to", bucket.url, "--url", database.url, "-y", "--workers", workers)
    return ("archive", "t", *where, "--batch-size", "20", "--segment-size", "64KiB", "--format", "jsonl")


def _killed(batchops: Batchops, database: Database, bucket: Bucket, workers: str, after: float) -> bool:
    """Whether the kill met a run at work."""
    process = batchops.start(*_words(database, bucket, workers), "-q", "--sleep", "10ms", env=bucket.env)
    if after > 1:
        wait_for_progress(process, database)
    time.sleep(after / 4)  # the kill's moment, no wait for a state
    process.send_signal(signal.SIGKILL)
    process.wait()
    return unfinished(database)


def _wrong(database: Database, bucket: Bucket, *, undecided: bool = False) -> str | None:
    """What is wrong with table and archive together; rows of undecided segments may be in the table too."""
    archived, every = bucket.rows(undecided=undecided), {str(i) for i in range(1, ROWS + 1)}
    there = {str(row) for row in database.column("SELECT id FROM t")}
    lost = every - there - set(archived)
    twice = [] if undecided else [*(row for row, times in archived.items() if times > 1), *(there & set(archived))]
    return f"{len(lost)} lost, {len(twice)} twice" if lost or twice else None
