"""One run per job: a second copy is turned away, a stopped one that was taken over writes nothing more."""

import signal

import pytest

from tests.command import Batchops
from tests.crash.scenario import COUNT_UP, LINGERING, job, make, stopped_and_taken_over, wait_for_work
from tests.services.database import Database
from tests.waiting import ended, until

pytestmark = pytest.mark.in_turn


def test_a_second_copy_is_turned_away(batchops: Batchops, database: Database) -> None:
    make(database)
    first = batchops.start(*job(database, *LINGERING))
    wait_for_work(first, database)
    second = batchops(*job(database, "--json"))
    assert second.code == 11
    assert second.json()["error"]["code"] == "locked"
    assert str(first.pid) in second.json()["error"]["message"]
    assert first.poll() is None


def test_a_killed_run_is_taken_over_at_once(batchops: Batchops, database: Database) -> None:
    """On the same host it can be seen that the process is gone; nobody waits for an hour's lease."""
    make(database)
    first = batchops.start(*job(database, "--lease", "1h", *LINGERING))
    wait_for_work(first, database)
    first.kill()
    first.wait()
    second = batchops(*job(database, "--json"))
    assert second.code == 0, second
    assert COUNT_UP.wrong(database) is None


def test_a_stopped_run_that_was_taken_over_writes_nothing_more(batchops: Batchops, database: Database) -> None:
    make(database)
    assert stopped_and_taken_over(batchops, batchops, database) == (None, 11)
    assert COUNT_UP.wrong(database) is None


@pytest.mark.full
def test_a_stopped_run_that_was_begun_anew_writes_nothing_more(batchops: Batchops, postgresql: Database) -> None:
    """--restart makes another run, with other workers: the old ones must be worth nothing all the same."""
    make(postgresql)
    assert stopped_and_taken_over(batchops, batchops, postgresql, "--restart") == (None, 11)
    assert postgresql.column("SELECT state FROM batchops_run ORDER BY run") == ["failed", "done"]


@pytest.mark.full
@pytest.mark.parametrize("copies", [3, pytest.param(20, marks=pytest.mark.full)])
def test_many_copies_at_once(batchops: Batchops, somewhere: Database, copies: int) -> None:
    """As when cron starts one job on many hosts: one works, the others say who does."""
    # One batch an hour: whoever works does so until all others have ended.
    started = [batchops.start(*job(somewhere, "-q", "--batch-size", "100", "--sleep", "1h")) for _ in range(copies)]
    until(lambda: sum(process.poll() is not None for process in started) >= copies - 1)
    (at_work,) = (process for process in started if process.poll() is None)
    wait_for_work(at_work, somewhere, 1)
    at_work.send_signal(signal.SIGTERM)
    ends = [ended(process) for process in started]
    assert sorted(end.code for end in ends) == [11] * (copies - 1) + [143], [
        end for end in ends if end.code not in (11, 143)
    ]
    assert batchops(*job(somewhere)).code == 0
    assert COUNT_UP.wrong(somewhere) is None
    assert somewhere.scalar("SELECT count(*) FROM batchops_run") == 1
