"""What a batch may change and read, what a run may change, and where it ends."""

import pytest

from batchops.events import Committed, Event
from tests.conftest import NewDatabase
from tests.databases.numbered import Job, numbered
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

N = 50
A_BLOCK = 300
"""Rows in one of PostgreSQL's: a walk by blocks reads no less."""
JOBS = [("purge", {"strategy": "key"}), ("purge", {}), ("backfill", {"set": ["m = m + 1"]})]
IDS = ["purge by key", "purge as planned", "backfill"]


@pytest.mark.parametrize(("verb", "more"), JOBS, ids=IDS)
def test_one_row_in_ten_thousand(database: Database, verb: str, more: dict[str, object]) -> None:
    """Neither the whole table in one statement, nor a batch a row."""
    numbered(database, 60_000, m=("integer", "CASE WHEN i % 10000 = 0 THEN 0 ELSE 9 END"))
    job = Job(database, verb, where="m = 0", batch_size=N, **more)
    finished = job()
    assert (finished.reason, finished.rows) == ("done", 6)
    assert all(batch.rows <= 2 * N and batch.read <= 100 * N for batch in job.batches)
    if finished.strategy == "match":  # a statement of its own has read the table, once and without a transaction
        assert (finished.read, len(job.batches)) == (6, 1)
        return
    assert finished.read >= 60_000 * 0.9, "what was read is told"
    assert 12 <= finished.batches <= 40
    assert any(batch.rows == 0 for batch in job.batches), "a window without a match is a batch too"


@pytest.mark.wide(3)
@pytest.mark.parametrize(("verb", "more"), JOBS, ids=IDS)
@pytest.mark.parametrize("size", [1, N])
def test_every_row(database: Database, verb: str, more: dict[str, object], size: int) -> None:
    numbered(database, 9 * size + 1, m=("integer", "0"))
    job = Job(database, verb, where="m = 0", batch_size=size, **more)
    assert job().rows == 9 * size + 1
    assert all(batch.rows <= 2 * size and batch.read <= max(A_BLOCK, 100 * size) for batch in job.batches)
    assert 5 <= len(job.batches) <= 12


@pytest.mark.wide(2)
@pytest.mark.parametrize(("verb", "more"), JOBS, ids=IDS)
def test_matches_in_a_clump(database: Database, verb: str, more: dict[str, object]) -> None:
    """The window has grown wide over rows that do not match when it meets many that do."""
    numbered(database, 12_000, m=("integer", "CASE WHEN i > 9000 THEN 0 ELSE 9 END"))
    job = Job(database, verb, where="m = 0", batch_size=N, **more)
    assert job().rows == 3_000
    assert max(batch.rows for batch in job.batches) <= 2 * N
    matched = job.events[0].strategy == "match"  # it reads no windows
    assert matched or max(batch.read for batch in job.batches) > 10 * N


@pytest.mark.wide(2)
@pytest.mark.parametrize(("verb", "more"), JOBS, ids=IDS)
@pytest.mark.parametrize(
    "most", [1, N - 1, *(pytest.param(n, marks=pytest.mark.full) for n in (N, N + 1, 2 * N)), 3 * N]
)
def test_max_rows_is_exact(database: Database, verb: str, more: dict[str, object], most: int) -> None:
    numbered(database, 400, m=("integer", "i % 2"))
    finished = Job(database, verb, where="m = 0", batch_size=N, max_rows=most, **more)()
    assert (finished.reason, finished.rows) == ("max-rows", most)
    assert database.scalar("SELECT count(*) FROM t WHERE m = 0") == 200 - most


@pytest.mark.parametrize("most", [200, 1000])
def test_max_rows_that_are_not_there(database: Database, most: int) -> None:
    numbered(database, 400, m=("integer", "i % 2"))
    assert Job(database, "purge", where="m = 0", batch_size=N, max_rows=most)().rows == 200
    assert database.scalar("SELECT count(*) FROM t") == 200


class Inserter:
    """After each batch, more rows that match: behind the cursor, before it, behind the end."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.inserted = 0

    def __call__(self, event: Event) -> None:
        if not isinstance(event, Committed) or self.inserted >= 120:
            return
        n = self.inserted
        rows = [(-1 - n - i, 0) for i in range(8)] + [(1_000_000 + n + i, 0) for i in range(4)]
        self._database.insert("t", ["id", "m"], rows)
        self.inserted += len(rows)


@pytest.mark.wide(1)
@pytest.mark.parametrize(("verb", "more"), [JOBS[0], JOBS[2]], ids=[IDS[0], IDS[2]])
def test_the_end_is_fixed_at_the_start(database: Database, verb: str, more: dict[str, object]) -> None:
    """What matched at the start is done, what came behind it is the next run's: nobody is chased."""
    numbered(database, 300, m=("integer", "0"))
    inserter = Inserter(database)
    job = Job(database, verb, where="m = 0", batch_size=12, **more)
    finished = job(hear=inserter)
    assert finished.reason == "done"
    assert inserter.inserted == 120
    assert finished.rows == 300
    assert database.scalar("SELECT count(*) FROM t WHERE m = 0") == inserter.inserted
    assert job(restart=True).rows == inserter.inserted
    assert database.scalar("SELECT count(*) FROM t WHERE m = 0") == 0


@pytest.mark.wide(2)
@pytest.mark.parametrize("most", [N - 1, 3 * N])
@pytest.mark.parametrize("strategy", ["key", "auto"])
def test_max_rows_while_others_insert(database: Database, strategy: str, most: int) -> None:
    numbered(database, 4 * N, m=("integer", "0"))
    inserter = Inserter(database)
    finished = Job(database, "purge", where="m = 0", batch_size=7, max_rows=most, strategy=strategy)(hear=inserter)
    assert (finished.reason, finished.rows) == ("max-rows", most)
    assert database.scalar("SELECT count(*) FROM t") == 4 * N + inserter.inserted - most


@pytest.mark.parametrize("on", ["postgresql", "mariadb"])
def test_max_rows_over_several_workers(new_database: NewDatabase, on: str) -> None:
    database = new_database(on)
    numbered(database, 90_000, m=("integer", "0"))
    job = Job(database, "purge", where="m = 0", batch_size=200, max_rows=20_011, workers=3, strategy="key")
    assert (job().rows, database.scalar("SELECT count(*) FROM t")) == (20_011, 90_000 - 20_011)


def test_nothing_there(database: Database) -> None:
    numbered(database, 1, m=("integer", "0"))
    assert Job(database, "purge", where="m = 1")().rows == 0
    assert Job(database, "purge", all_rows=True)().rows == 1
    finished = Job(database, "purge", all_rows=True)()
    assert (finished.reason, finished.rows) == ("done", 0)
