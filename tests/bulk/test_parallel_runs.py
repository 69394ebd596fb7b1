"""Several workers: one allowance, one ending, disjoint ranges; killed and gone on with by another number of them."""

import random
import signal
import time
from typing import Any

import pytest

import batchops as library
from batchops.errors import RefusedError
from batchops.ledger.ledger import Ledger
from tests.command import Batchops
from tests.crash.scenario import make as make_plain
from tests.figures import Figures
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

ROWS = 60_000
"""Enough for three workers: below 20,000 a range is not split."""
MATCHING = sum(1 for i in range(1, ROWS + 1) if i % 7 < 4)
SERVERS = ("postgresql", "mariadb")


def make(database: Database, rows: int = ROWS) -> None:
    """With statistics, which say how large it is."""
    make_plain(database, rows)
    database.execute("ANALYZE TABLE t" if database.backend == "mysql" else "ANALYZE")


def job(database: Database, **options: Any) -> dict[str, Any]:
    return {"url": database.url, "table": "t", "where": "kind < 4", **options}


def counts(database: Database) -> dict[tuple[bool, int], int]:
    """(matching, touched) → rows."""
    rows = database.rows("SELECT kind < 4, touched, count(*) FROM t GROUP BY kind < 4, touched")
    return {(bool(matching), touched): count for matching, touched, count in rows}


def lanes_at_work(database: Database) -> int:
    return int(database.scalar("SELECT count(*) FROM batchops_worker WHERE rows_changed > 0"))


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, new_database) -> Database:  # type: ignore[no-untyped-def]  # a fixture of ours
    database: Database = new_database(request.param)
    return database


def test_backfill_touches_each_row_once(server: Database) -> None:
    make(server)
    finished = library.backfill(**job(server, workers=3, batch_size=500), set=["touched = touched + 1"])
    assert (finished.reason, finished.rows) == ("done", MATCHING)
    assert counts(server) == {(True, 1): MATCHING, (False, 0): ROWS - MATCHING}
    assert lanes_at_work(server) > 1


@pytest.mark.wide(1)
@pytest.mark.parametrize("strategy", ["auto", "key"])
@pytest.mark.parametrize(
    "most", [pytest.param(1, marks=pytest.mark.full), 333, pytest.param(10_000, marks=pytest.mark.full)]
)
def test_max_rows_is_met_exactly(server: Database, strategy: str, most: int) -> None:
    """Twice: the second run goes on behind the first, and then from the start up to there."""
    make(server)
    for turn in (1, 2):
        finished = library.purge(**job(server, workers=4, strategy=strategy, max_rows=most, batch_size=100))
        assert (finished.reason, finished.rows) == ("max-rows", most)
        assert server.scalar("SELECT count(*) FROM t") == ROWS - turn * most


@pytest.mark.full
def test_max_rows_beyond_what_there_is(server: Database) -> None:
    """A worker that finds nothing more holds nothing back."""
    make(server)
    finished = library.purge(**job(server, workers=4, max_rows=MATCHING + 1))
    assert (finished.reason, finished.rows) == ("done", MATCHING)


@pytest.mark.parametrize("limit", [{"max_batches": 3}, {"max_time": "1s", "sleep": "300ms"}])
def test_a_limit_ends_every_worker(server: Database, limit: dict[str, Any]) -> None:
    """Also those that wait for a worker that is too short to be split."""
    make(server, 2_000)
    finished = library.purge(**job(server, workers=4, batch_size=10, **limit))
    assert finished.reason in ("max-batches", "max-time")
    assert 0 < finished.rows < 2_000
    assert "max_batches" not in limit or finished.batches == limit["max_batches"]


def test_a_worker_that_fails_ends_the_run(server: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own reason, though others were only stopped."""
    make(server)
    advance = Ledger.advance

    def fail(self: Ledger, connection: Any, old: Any, new: Any) -> None:
        if old.number == 1 and old.batches == 2:
            raise RefusedError("worker 1 may not")
        advance(self, connection, old, new)

    monkeypatch.setattr(Ledger, "advance", fail)
    finished = library.purge(**job(server, workers=3, batch_size=100, max_rows=MATCHING))
    assert finished.reason == "refused", finished
    assert finished.exit == 12
    assert finished.error is not None
    monkeypatch.undo()
    again = library.purge(**job(server, workers=2))
    assert (again.reason, again.run, again.rows) == ("done", finished.run, MATCHING)


def test_a_bug_in_one_worker_is_no_quiet_end(server: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    make(server)
    advance = Ledger.advance

    def crash(self: Ledger, connection: Any, old: Any, new: Any) -> None:
        if old.number == 1:
            raise ZeroDivisionError
        advance(self, connection, old, new)

    monkeypatch.setattr(Ledger, "advance", crash)
    with pytest.raises(ZeroDivisionError):
        library.purge(**job(server, workers=3, batch_size=100))
    monkeypatch.undo()
    assert library.purge(**job(server)).rows == MATCHING


def test_sqlite_has_one_worker(sqlite: Database) -> None:
    make(sqlite)
    finished = library.backfill(**job(sqlite, workers=4, batch_size=2_000), set=["touched = touched + 1"])
    assert (finished.reason, finished.rows) == ("done", MATCHING)
    assert counts(sqlite) == {(True, 1): MATCHING, (False, 0): ROWS - MATCHING}
    assert sqlite.scalar("SELECT count(*) FROM batchops_worker") == 1


def kill_until_done(batchops: Batchops, database: Database, verb: str, kills: int) -> tuple[int, int]:
    """Kills that met a run at work with several workers, and the most workers of a run."""
    chance = random.Random(f"{verb} {kills}")
    more = ("--set", "touched = touched + 1") if verb == "backfill" else ()
    command = (verb, "t", "--where", "kind < 4", *more, "--url", database.url, "-y", "--batch-size", "150")
    met = 0
    for _ in range(kills):
        process = batchops.start(*command, "-q", "--sleep", "25ms", "--workers", str(chance.randint(2, 4)))
        wait_until_at_work(database, chance.randint(1, 12))
        process.send_signal(signal.SIGKILL)
        process.wait()
        met += database.scalar("SELECT count(*) FROM batchops_run WHERE state = 'running'")
    done = batchops(*command, "--json", "--workers", str(chance.randint(1, 3)))
    assert done.code == 0, done
    assert done.json()["reason"] in ("done", "already-done")
    return met, int(database.scalar("SELECT count(*) FROM batchops_worker"))


def wait_until_at_work(database: Database, batches: int) -> None:
    """So many batches more than there were, or the end of the run."""
    before, deadline = progress(database), time.monotonic() + 30
    while time.monotonic() < deadline:
        now = progress(database)
        if now[0] >= before[0] + batches or now[1]:
            return
        time.sleep(0.01)
    raise AssertionError("the run did not begin to work")


def progress(database: Database) -> tuple[int, bool]:
    """Batches, and whether the last run has ended."""
    try:
        batches = database.scalar("SELECT coalesce(sum(batches), 0) FROM batchops_worker")
        ended = database.scalar("SELECT count(*) FROM batchops_run WHERE state = 'done'")
    except Exception as error:  # noqa: BLE001  the ledger is not there yet
        assert "batchops" in str(error)
        return 0, False
    return int(batches), bool(ended)


def expected(verb: str) -> dict[tuple[bool, int], int]:
    """What one statement would have left."""
    others = {(False, 0): ROWS - MATCHING}
    return others if verb == "purge" else others | {(True, 1): MATCHING}


@pytest.mark.full
@pytest.mark.parametrize("verb", [pytest.param("purge", marks=pytest.mark.full), "backfill"])
def test_kills(batchops: Batchops, server: Database, verb: str) -> None:
    make(server)
    met, lanes = kill_until_done(batchops, server, verb, 2)
    assert counts(server) == expected(verb)
    assert met >= 1
    assert lanes > 1


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("verb", ["purge", "backfill"])
def test_a_hundred_kills(batchops: Batchops, server: Database, verb: str, figures: Figures) -> None:
    """A new job each time the last one was through."""
    met = jobs = most = 0
    while met < 100:
        for name in ("t", "batchops_run", "batchops_worker", "batchops_lease"):
            server.script(f"DROP TABLE IF EXISTS {name}")
        make(server)
        now, lanes = kill_until_done(batchops, server, verb, 12)
        assert counts(server) == expected(verb)
        met, jobs, most = met + now, jobs + 1, max(most, lanes)
    figures(kills_that_met_a_run_at_work=met, jobs=jobs, most_lanes=most)
