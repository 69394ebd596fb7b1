"""Runs that are paused, resumed, stopped and cancelled from outside while they work."""

import signal
import subprocess
from typing import Any

import pytest

from tests.command import Batchops
from tests.crash.scenario import COUNT_UP, LINGERING, PURGE, Scenario, batches_done, job, make, wait_for_work
from tests.leases import lease_ends
from tests.services.database import Database
from tests.waiting import ended, until

QUICK = ("--lease", "3s")
"""A heartbeat each second."""


def ask(batchops: Batchops, database: Database, *words: object) -> Any:
    """A control command that goes well; its document."""
    result = batchops(*words, "--json", "--url", database.url)
    assert result.code == 0, result
    return result.json()


def state(batchops: Batchops, database: Database) -> str:
    return str(batchops("runs", "--json", "--url", database.url).json()["runs"][0]["state"])


def heartbeats(database: Database, process: "subprocess.Popen[str]", number: int) -> None:
    """Until the lease was renewed so many times more."""
    for _ in range(number):
        before = lease_ends(database, "batchops_lease")
        until(lambda before=before: lease_ends(database, "batchops_lease") > before, process)  # type: ignore[misc]


@pytest.mark.parametrize("scenario", [PURGE, COUNT_UP], ids=["purge", "backfill"])
@pytest.mark.in_turn
def test_a_paused_run_does_no_batch_and_survives_kill_9(
    batchops: Batchops, database: Database, scenario: Scenario
) -> None:
    make(database)
    first = batchops.start(*job(database, *QUICK, *LINGERING, scenario=scenario))
    wait_for_work(first, database)
    (answer,) = ask(batchops, database, "pause", 1, "month-end closing")["runs"]
    assert (answer["effect"], answer["state"], answer["scope"]) == ("asked", "paused", "run")
    assert [pause["reason"] for pause in answer["paused"]] == ["month-end closing"]
    heartbeats(database, first, 3)
    done = batches_done(database)
    heartbeats(database, first, 2)
    assert batches_done(database) == done
    assert state(batchops, database) == "paused"

    first.send_signal(signal.SIGKILL)
    first.wait()
    second = batchops.start(*job(database, *QUICK, *LINGERING, scenario=scenario))
    until(lambda: state(batchops, database) == "paused", second)
    heartbeats(database, second, 2)
    assert batches_done(database) == done
    shown = batchops("show", 1, "--url", database.url).out
    assert "month-end closing" in shown

    assert [one["effect"] for one in ask(batchops, database, "resume", 1)["runs"]] == ["asked"]
    until(lambda: batches_done(database) > done, second)
    second.send_signal(signal.SIGKILL)
    said = ended(second).err
    assert "warning: The run is paused by " in said
    assert "month-end closing" in said
    third = batchops(*job(database, "--json", scenario=scenario))
    assert (third.code, third.json()["run"], scenario.wrong(database)) == (0, 1, None), third
    asked = batchops("show", 1, "--json", "--url", database.url).json()["requests"]
    assert [(one["action"], one["scope"]) for one in asked] == [("pause", "run"), ("resume", "run")]
    assert all("@" in one["by"] and one["at"].endswith("Z") for one in asked)


@pytest.mark.in_turn
def test_a_pause_in_the_middle_of_a_long_sleep_is_obeyed_and_a_resume_wakes_it(
    batchops: Batchops, database: Database
) -> None:
    make(database)
    process = batchops.start(*job(database, *QUICK, "--batch-size", "20", "--sleep", "1h"))
    wait_for_work(process, database, batches=1)
    ask(batchops, database, "pause", 1)
    until(lambda: state(batchops, database) == "paused", process)
    heartbeats(database, process, 3)
    ask(batchops, database, "resume", 1)
    until(lambda: batches_done(database) > 1, process)


@pytest.mark.in_turn
def test_a_pause_of_every_run_holds_those_that_are_yet_to_begin(batchops: Batchops, database: Database) -> None:
    make(database)
    ask(batchops, database, "pause", "--database", "upgrade")
    process = batchops.start(*job(database, *QUICK))
    until(lambda: batchops("runs", "--json", "--url", database.url).json()["runs"], process)
    heartbeats(database, process, 2)
    assert batches_done(database) == 0
    still = batchops("resume", 1, "--url", database.url)
    assert (still.code, "still paused by" in still.out, "--database" in still.out) == (0, True, True), still
    ask(batchops, database, "resume", "--database")
    end = ended(process)
    assert (end.code, "upgrade" in end.err, COUNT_UP.wrong(database)) == (0, True, None), end


@pytest.mark.in_turn
def test_a_pause_of_a_job_holds_its_later_runs(batchops: Batchops, database: Database) -> None:
    make(database)
    assert batchops(*job(database, scenario=PURGE)).code == 0
    ask(batchops, database, "pause", "--job", 1)
    process = batchops.start(*job(database, *QUICK, scenario=PURGE))
    until(lambda: state(batchops, database) == "paused", process)
    assert [one["run"] for one in ask(batchops, database, "resume", "--job", 1)["runs"]] == [2]
    assert ended(process).code == 0
