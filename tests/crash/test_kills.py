"""kill -9 at any moment, the same command again: the end is that of one statement."""

import random
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.command import Batchops
from tests.crash.scenario import SCENARIOS, Scenario, make
from tests.figures import Figures
from tests.services.database import Database
from tests.waiting import until


def kill_until_done(
    batchops: Batchops, database: Database, scenario: Scenario, kills: int, more: Callable[[int], tuple[str, ...]]
) -> tuple[int, int]:
    """Kills made, and how many of them met a run at work; then the command runs to its end."""
    chance = random.Random(4711)
    at_work = 0
    for turn in range(kills):
        process = batchops.start(
            scenario.verb, *scenario.arguments, "--url", database.url, "-y", "-q", *more(turn), "--sleep", "15ms"
        )
        if turn % 4:  # else it dies while it starts up, however slow this machine is just now
            wait_for_progress(process, database)
        time.sleep(chance.uniform(0, 0.25))
        process.send_signal(signal.SIGKILL)
        process.wait()
        at_work += unfinished(database)
    done = batchops(scenario.verb, *scenario.arguments, "--url", database.url, "-y", "--json", *more(kills))
    assert done.code == 0, done
    assert done.json()["reason"] in ("done", "already-done")
    return kills, at_work


def wait_for_progress(process: "subprocess.Popen[str]", database: Database) -> None:
    """Until this process has committed a batch, or ended."""
    before = batches(database)
    until(lambda: process.poll() is not None or batches(database) != before, pause=0.03)


def batches(database: Database) -> int:
    """Committed by all runs so far."""
    try:
        return int(database.scalar("SELECT sum(batches) FROM batchops_worker") or 0)
    except Exception as error:  # noqa: BLE001  the ledger is not there yet
        assert "batchops" in str(error)
        return 0


def unfinished(database: Database) -> bool:
    """Whether the ledger knows a run that has begun to work and not ended."""
    try:
        found = database.scalar(
            "SELECT count(*) FROM batchops_run JOIN batchops_worker ON batchops_worker.run = batchops_run.run "
            "WHERE state = 'running' AND batches > 0"
        )
    except Exception as error:  # noqa: BLE001  killed before the ledger was made
        assert "batchops" in str(error)
        return False
    return bool(found)


@pytest.mark.wide(2)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
@pytest.mark.in_turn
def test_some_kills(batchops: Batchops, database: Database, scenario: Scenario) -> None:
    make(database)
    size = ("--batch-size", "20")
    _, at_work = kill_until_done(batchops, database, scenario, 3, lambda _: size)
    assert at_work >= 1
    assert scenario.wrong(database) is None


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_a_hundred_kills(batchops: Batchops, database: Database, scenario: Scenario, figures: Figures) -> None:
    """A new job each time the last one was through, so that all kills fall on work."""
    kills = met = jobs = 0
    while kills < 100:
        database.script("DROP TABLE IF EXISTS t")
        for name in ("batchops_run", "batchops_worker", "batchops_lease"):
            database.script(f"DROP TABLE IF EXISTS {name}")
        make(database)
        made, at_work = kill_until_done(batchops, database, scenario, 20, lambda _: ("--batch-size", "7"))
        assert scenario.wrong(database) is None
        kills, met, jobs = kills + made, met + at_work, jobs + 1
    figures(kills=kills, met_a_run_at_work=met, jobs=jobs)
    assert met >= 50
