"""What the same job does next, by how its last run ended: every line of the table, on every database."""

import time

import pytest

from batchops.errors import IntegrityError, RefusedError
from batchops.events import Committed, Event, Finished
from batchops.runtime.stop import Stop
from tests.conftest import NewDatabase
from tests.databases.numbered import Job, numbered
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

ROWS = 100
COUNT_UP = {"where": "kind = 0", "set": ["m = m + 1"]}
"""Not idempotent: twice is one too many."""
MARK = {"where": "kind = 0", "set": ["m = 1"]}
"""Idempotent."""
LIMITS = {"max-rows": {"max_rows": 20}, "max-batches": {"max_batches": 2}, "window": {}, "max-time": {}}
ENDS = ["done", pytest.param("incomplete", marks=pytest.mark.full)]


@pytest.fixture
def table(database: Database) -> Database:
    numbered(database, ROWS, kind=("integer", "0"), m=("integer", "0"))
    return database


def stopped(job: Job, after: int = 2) -> Finished:
    """A run that somebody asks to end after so many batches."""
    stop, seen = Stop(), 0

    def hear(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, Committed)
        if seen == after:
            stop.ask("stopped")

    finished = job(hear=hear, stop=stop, batch_size=10)
    assert finished.reason == "stopped"
    return finished


def crashed(job: Job, database: Database) -> Finished:
    """To the ledger a run that died is one that is still running, whose lease has run out."""
    finished = stopped(job)
    database.execute(f"UPDATE batchops_run SET state = 'running', ended_at = NULL WHERE run = {finished.run}")
    return finished


def ended_as(job: Job, database: Database, state: str) -> Finished:
    finished = stopped(job)
    database.execute(f"UPDATE batchops_run SET state = '{state}' WHERE run = {finished.run}")
    return finished


@pytest.mark.wide(2)
@pytest.mark.parametrize(
    "state", ["running", *(pytest.param(s, marks=pytest.mark.full) for s in ("signal", "stopped", "failed", "busy"))]
)
@pytest.mark.parametrize("verb", ["purge", "count up", "mark"])
def test_after_a_crash_the_same_run_goes_on(table: Database, verb: str, state: str) -> None:
    """With the values pinned at its start."""
    job = {
        "purge": Job(table, "purge", where="kind = 0 AND CURRENT_TIMESTAMP > '2000-01-01'", strategy="key"),
        "count up": Job(table, "backfill", **COUNT_UP),
        "mark": Job(table, "backfill", where="kind = 0 AND CURRENT_TIMESTAMP > '2000-01-01'", set=["m = 1"]),
    }[verb]
    first = ended_as(job, table, state)
    second = job()
    assert (second.reason, second.run, second.cutoff) == ("done", first.run, first.cutoff)
    assert first.rows < ROWS == second.rows, "rows is the whole run's"
    wrong = "SELECT count(*) FROM t" if verb == "purge" else "SELECT count(*) FROM t WHERE m <> 1"
    assert table.scalar(wrong) == 0


def test_max_rows_counts_what_this_process_changes(table: Database) -> None:
    job = Job(table, "purge", where="kind = 0", max_rows=30)
    first = crashed(job, table)
    assert 0 < first.rows < 30
    second = job()
    assert (second.reason, second.run, second.rows) == ("max-rows", first.run, first.rows + 30)
    assert table.scalar("SELECT count(*) FROM t") == ROWS - first.rows - 30


@pytest.mark.parametrize("state", ["max-rows", *(pytest.param(s, marks=pytest.mark.full) for s in list(LIMITS)[1:])])
def test_after_a_limit_a_purge_begins_where_it_stopped_and_goes_round(table: Database, state: str) -> None:
    """A new run with a fresh cut-off; what has come behind the cursor meanwhile is found on the way round."""
    job = Job(table, "purge", where="kind = 0 AND CURRENT_TIMESTAMP > '2000-01-01'", strategy="key")
    first = ended_as(job, table, state)
    table.execute("INSERT INTO t VALUES (-5, 0, 0), (3, 0, 0)")
    time.sleep(1.1)  # SQLite's CURRENT_TIMESTAMP counts whole seconds
    left: list[int] = []

    def hear(event: Event) -> None:
        if isinstance(event, Committed):
            left.append(table.scalar("SELECT count(*) FROM t WHERE id IN (-5, 3)"))

    second = job(batch_size=10, hear=hear)
    assert second.run != first.run
    assert second.cutoff != first.cutoff
    assert (second.reason, second.rows) == ("done", ROWS - first.rows + 2)
    assert (left[0], left[-1]) == (2, 0), "it does not read again first what it has just emptied"
    assert table.scalar("SELECT count(*) FROM t") == 0


@pytest.mark.wide(1)
@pytest.mark.parametrize("limit", ["max-rows", "max-batches"])
@pytest.mark.parametrize("asked", [COUNT_UP, MARK], ids=["count up", "mark"])
def test_after_a_limit_a_backfill_goes_on(table: Database, asked: dict[str, object], limit: str) -> None:
    job = Job(table, "backfill", batch_size=7, **asked)
    first = job(**LIMITS[limit])
    assert first.reason == limit
    again = job(**LIMITS[limit])
    assert again.run == first.run
    assert again.rows > first.rows, "the allowance is a new one"
    last = job()
    assert (last.reason, last.run, last.rows) == ("done", first.run, ROWS)
    assert table.scalar("SELECT count(*) FROM t WHERE m <> 1") == 0


@pytest.mark.parametrize("state", ENDS)
def test_after_its_end_a_purge_is_a_new_run(table: Database, state: str) -> None:
    job = Job(table, "purge", where="kind = 0")
    first = job()
    table.execute(f"UPDATE batchops_run SET state = '{state}'")
    table.execute("INSERT INTO t VALUES (5, 0, 0)")
    second = job()
    assert (second.reason, second.rows) == ("done", 1)
    assert second.run != first.run


@pytest.mark.parametrize("state", ENDS)
def test_after_its_end_an_idempotent_backfill_is_a_new_run(table: Database, state: str) -> None:
    job = Job(table, "backfill", **MARK)
    first = job()
    table.execute(f"UPDATE batchops_run SET state = '{state}'")
    second = job()
    assert (second.reason, second.rows) == ("done", ROWS)
    assert second.run != first.run


def test_after_its_end_another_backfill_changes_nothing_unless_told_to(table: Database) -> None:
    job = Job(table, "backfill", **COUNT_UP)
    first = job()
    second = job()
    assert (second.reason, second.rows, second.run) == ("already-done", 0, first.run)
    assert table.scalar("SELECT count(*) FROM t WHERE m <> 1") == 0
    third = job(restart=True)
    assert (third.reason, third.rows) == ("done", ROWS)
    assert table.scalar("SELECT count(*) FROM t WHERE m <> 2") == 0


def test_restart_begins_anew(table: Database) -> None:
    job = Job(table, "backfill", **COUNT_UP)
    first = crashed(job, table)
    second = job(restart=True)
    assert (second.rows, second.run == first.run) == (ROWS, False)
    assert table.scalar("SELECT count(*) FROM t WHERE m = 2") == first.rows


@pytest.mark.parametrize(
    "other",
    [{"where": "kind  = 0"}, {"set": ["m = 7"]}, {"where": None, "all_rows": True}],
    ids=["where", "set", "all"],
)
def test_another_job_has_a_run_of_its_own(table: Database, other: dict[str, object]) -> None:
    """A condition is what was written, not what it means."""
    first = stopped(Job(table, "backfill", **MARK))
    second = Job(table, "backfill", **MARK | other)()
    assert (second.rows, second.run == first.run) == (ROWS, False)


def test_a_column_more_is_no_other_table(table: Database) -> None:
    job = Job(table, "backfill", **COUNT_UP)
    first = stopped(job)
    table.script("ALTER TABLE t ADD COLUMN more integer")
    second = job()
    assert (second.reason, second.run, second.rows) == ("done", first.run, ROWS)
    assert table.scalar("SELECT count(*) FROM t WHERE m <> 1") == 0


@pytest.mark.parametrize("name", ["postgresql"])
def test_a_key_that_was_altered(new_database: NewDatabase, name: str) -> None:
    """Text has another order than numbers: the cursor means nothing any more. From int to bigint it does."""
    database = new_database(name)
    numbered(database, ROWS, kind=("integer", "0"), m=("integer", "0"))
    job = Job(database, "backfill", **COUNT_UP)
    first = stopped(job)
    database.script("ALTER TABLE t ALTER id TYPE bigint")
    with pytest.raises(IntegrityError, match="was altered") as refused:
        job()
    assert "--same-table" in refused.value.hint
    second = job(same_table=True)
    assert (second.reason, second.run, second.rows) == ("done", first.run, ROWS)
    assert database.scalar("SELECT count(*) FROM t WHERE m <> 1") == 0


def test_another_key(table: Database) -> None:
    table.script("ALTER TABLE t ADD COLUMN other integer NOT NULL DEFAULT 0")
    table.script("UPDATE t SET other = -id")
    table.script("CREATE UNIQUE INDEX other ON t (other)")
    job = Job(table, "backfill", **COUNT_UP)
    stopped(job)
    with pytest.raises(RefusedError, match="follows the key id"):
        job(key="other")
    assert job().rows == ROWS
    assert table.scalar("SELECT count(*) FROM t WHERE m <> 1") == 0
