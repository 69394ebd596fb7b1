"""Runs that are paused, resumed, stopped and cancelled from outside while they work."""

import contextlib
import json
import random
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.crash.scenario import (
    COUNT_UP,
    LINGERING,
    PURGE,
    SCENARIOS,
    Scenario,
    batches_done,
    job,
    locked,
    make,
    wait_for_work,
)
from tests.figures import Figures
from tests.leases import heartbeats
from tests.services.database import Database
from tests.waiting import ended, until

LET_GO = ("--throttle", "load=off")
QUICK = ("--lease", "3s")
"""A heartbeat each second."""


def state(batchops: Batchops, database: Database) -> str:
    return str(batchops("runs", "--json", "--url", database.url).json()["runs"][0]["state"])


@pytest.mark.wide(1)
@pytest.mark.parametrize("scenario", [PURGE, COUNT_UP], ids=["purge", "backfill"])
@pytest.mark.in_turn
def test_a_paused_run_does_no_batch_and_survives_kill_9(
    batchops: Batchops, database: Database, scenario: Scenario
) -> None:
    make(database)
    first = batchops.start(*job(database, *QUICK, *LINGERING, scenario=scenario))
    wait_for_work(first, database)
    (answer,) = batchops.ask(database, "pause", 1, "month-end closing")["runs"]
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

    assert [one["effect"] for one in batchops.ask(database, "resume", 1)["runs"]] == ["asked"]
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


@pytest.mark.full
@pytest.mark.in_turn
def test_a_pause_in_the_middle_of_a_long_sleep_is_obeyed_and_a_resume_wakes_it(
    batchops: Batchops, database: Database
) -> None:
    make(database)
    process = batchops.start(*job(database, *QUICK, "--batch-size", "20", "--sleep", "1h"))
    wait_for_work(process, database, batches=1)
    batchops.ask(database, "pause", 1)
    until(lambda: state(batchops, database) == "paused", process)
    heartbeats(database, process, 3)
    batchops.ask(database, "resume", 1)
    until(lambda: batches_done(database) > 1, process)


@pytest.mark.full
@pytest.mark.in_turn
def test_a_pause_of_every_run_holds_those_that_are_yet_to_begin(batchops: Batchops, database: Database) -> None:
    make(database)
    batchops.ask(database, "pause", "--database", "upgrade")
    process = batchops.start(*job(database, *QUICK))
    until(lambda: batchops("runs", "--json", "--url", database.url).json()["runs"], process)
    heartbeats(database, process, 2)
    assert batches_done(database) == 0
    still = batchops("resume", 1, "--url", database.url)
    assert (still.code, "still paused by" in still.out, "--database" in still.out) == (0, True, True), still
    batchops.ask(database, "resume", "--database")
    end = ended(process)
    assert (end.code, "upgrade" in end.err, COUNT_UP.wrong(database)) == (0, True, None), end


@pytest.mark.in_turn
def test_a_pause_of_a_job_holds_its_later_runs(batchops: Batchops, database: Database) -> None:
    make(database)
    assert batchops(*job(database, scenario=PURGE)).code == 0
    batchops.ask(database, "pause", "--job", 1)
    process = batchops.start(*job(database, *QUICK, scenario=PURGE))
    until(lambda: state(batchops, database) == "paused", process)
    assert [one["run"] for one in batchops.ask(database, "resume", "--job", 1)["runs"]] == [2]
    assert ended(process).code == 0


@pytest.mark.in_turn
def test_a_stop_ends_the_process_that_works_and_no_later_one(batchops: Batchops, database: Database) -> None:
    make(database)
    first = batchops.start(*job(database, *QUICK, *LINGERING, "--json"))
    wait_for_work(first, database)
    assert [one["effect"] for one in batchops.ask(database, "stop", 1, "enough")["runs"]] == ["asked"]
    end = ended(first)
    assert (end.code, '"reason": "stopped"' in end.out, "asked the run to stop: enough" in end.err) == (0, True, True)
    assert state(batchops, database) == "stopped"
    second = batchops(*job(database, "--json"))
    assert (second.code, second.json()["run"], COUNT_UP.wrong(database)) == (0, 1, None), second


@pytest.mark.in_turn
def test_a_stop_ends_a_run_that_is_paused(batchops: Batchops, database: Database) -> None:
    make(database)
    batchops.ask(database, "pause", "--database")
    process = batchops.start(*job(database, *QUICK))
    until(lambda: batchops("runs", "--json", "--url", database.url).json()["runs"], process)
    batchops.ask(database, "stop", "--all")
    assert (ended(process).code, state(batchops, database), batches_done(database)) == (0, "stopped", 0)


@pytest.mark.in_turn
def test_settings_change_in_the_middle_of_a_long_sleep_and_for_whoever_continues(
    batchops: Batchops, database: Database
) -> None:
    make(database)
    events = batchops.home / "events.jsonl"
    first = batchops.start(*job(database, *QUICK, "--batch-size", "20", "--sleep", "1h", "--events", str(events)))
    wait_for_work(first, database, batches=1)
    batchops.ask(database, "set", 1, "--batch-size", 50, "--sleep", "300ms")
    until(lambda: batches_done(database) >= 3, first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert 50 in sizes(events)
    second = batchops.start(*job(database, *QUICK, "--batch-size", "20", "--events", str(events)))
    done = batches_done(database)
    until(lambda: batches_done(database) >= done + 2, second)
    assert sizes(events)[-1] == 50
    batchops.ask(database, "set", 1, "--target-time", "50ms", "--sleep", "0s")
    end = ended(second)
    assert (end.code, "set --sleep 300 ms, --batch-size 50" in end.err) == (0, True), end
    assert COUNT_UP.wrong(database) is None


def sizes(events: Path) -> list[int]:
    """The sizes of the batches, in their order."""
    found = [json.loads(line) for line in events.read_text().splitlines()]
    return [event["size"] for event in found if event["event"] == "committed"]


@pytest.mark.full
@pytest.mark.in_turn
def test_a_limit_that_is_set_ends_the_process_that_works(batchops: Batchops, database: Database) -> None:
    make(database)
    process = batchops.start(*job(database, *QUICK, *LINGERING, "--json"))
    wait_for_work(process, database)
    batchops.ask(database, "set", 1, "--max-rows", 1, "--sleep", "1ms")
    end = ended(process)
    assert (end.code, json.loads(end.out)["reason"]) == (0, "max-rows"), end
    assert 0 < json.loads(end.out)["rows"] < COUNT_UP.expected_rows
    last = batchops(*job(database, "--json"))
    assert (last.json()["run"], COUNT_UP.wrong(database)) == (1, None), last


@pytest.mark.wide(1)
@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_workers_come_and_go(batchops: Batchops, new_database: NewDatabase, name: str) -> None:
    database = new_database(name)
    make(database, rows=80_000)  # below 20,000 a range is not split
    process = batchops.start(*job(database, *QUICK, "--batch-size", "100", "--sleep", "100ms", "--strategy", "key"))
    wait_for_work(process, database)
    batchops.ask(database, "set", 1, "--workers", 3)
    query = "SELECT count(*) FROM batchops_worker WHERE batches > 0"
    until(lambda: database.scalar(query) >= 3, process)
    batchops.ask(database, "set", 1, "--workers", 1, "--sleep", "1ms", "--batch-size", "1000")
    end = ended(process)
    touched = database.rows("SELECT touched, count(*) FROM t WHERE kind < 4 GROUP BY touched")
    assert (end.code, touched) == (0, [(1, sum(i % 7 < 4 for i in range(1, 80_001)))]), end
    assert database.scalar("SELECT count(*) FROM t WHERE kind >= 4 AND touched > 0") == 0


LINGER = {
    "postgresql": "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$;\n"
    "CREATE TRIGGER linger BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION linger();",
    "mysql": "CREATE TRIGGER linger BEFORE UPDATE ON t FOR EACH ROW DO SLEEP(0.1);",
    "sqlite": "CREATE TRIGGER linger BEFORE UPDATE ON t BEGIN SELECT (WITH RECURSIVE c(i) AS "
    "(SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 500000) SELECT max(i) FROM c); END;",
}


def writing(database: Database) -> bool:
    """Whether the tool has begun to write."""
    if database.backend != "sqlite":
        return locked(database)
    with contextlib.closing(sqlite3.connect(database.url.removeprefix("sqlite:///"), timeout=0)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        return False


@pytest.mark.in_turn
def test_a_cancel_rolls_back_the_batch_in_progress(batchops: Batchops, database: Database) -> None:
    make(database)
    database.script(LINGER[database.backend])
    size = ("--batch-size", "4000", "--strategy", "key", "--allow", "triggers", "--json")
    process = batchops.start(*job(database, *QUICK, *size))
    until(lambda: batches_done(database) == 0 and batchops("runs", "--url", database.url).out.count("\n") > 1, process)
    until(lambda: writing(database) and writing(database), process)
    if database.backend == "sqlite":  # its one writer holds the file: no request can be written
        assert batchops("cancel", 1, "--url", database.url).code == 75
        return
    batchops.ask(database, "cancel", 1)
    end = ended(process)
    assert (end.code, '"reason": "stopped"' in end.out) == (0, True), end
    assert (state(batchops, database), batches_done(database)) == ("stopped", 0)
    assert database.column("SELECT DISTINCT touched FROM t") == [0]


@pytest.mark.full
@pytest.mark.parametrize("scenario", [PURGE, COUNT_UP], ids=["purge", "backfill"])
@pytest.mark.in_turn
def test_a_few_random_commands(batchops: Batchops, database: Database, scenario: Scenario) -> None:
    make(database)
    commanded(batchops, database, scenario, 8)
    assert scenario.wrong(database) is None


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_a_hundred_random_commands_and_kills(
    batchops: Batchops, database: Database, scenario: Scenario, figures: Figures
) -> None:
    make(database)
    met = commanded(batchops, database, scenario, 100)
    figures(**met)
    assert scenario.wrong(database) is None


def commanded(batchops: Batchops, database: Database, scenario: Scenario, number: int) -> dict[str, int]:
    """Gives random commands to a job that is started again whenever it has ended; how many met it at work."""
    chance, met = random.Random(4711), dict.fromkeys(("pause", "resume", "stop", "cancel", "set", "kill"), 0)
    words = job(database, "--lease", "1s", "--batch-size", "7", "--sleep", "100ms", scenario=scenario)
    process = batchops.start(*words)
    wait_for_work(process, database, 1)
    for _ in range(number):
        command = chance.choice(list(met))
        if process.poll() is not None:
            process = batchops.start(*words)
        if command == "kill":
            process.send_signal(signal.SIGKILL)
            met[command] += process.wait() == -signal.SIGKILL
        else:
            target = chance.choice(
                [("--job", "1"), ("--database",)] if command in ("pause", "resume") else [("--all",)]
            )
            more: tuple[object, ...] = ()
            if command == "set":
                more = chance.choice([("--batch-size", chance.randrange(3, 12)), ("--throttle", "load=0"), LET_GO])
                target = ("--job", "1") if "--throttle" in more else target  # as the last one is
            answers = batchops.ask(database, command, *target, *more)["runs"]
            met[command] += any(one["effect"] == "asked" for one in answers)
        time.sleep(chance.uniform(0, 0.6))
    for target in (("--job", "1"), ("--database",)):
        batchops.ask(database, "resume", *target)
    batchops.ask(database, "set", "--job", "1", *LET_GO)
    process.wait()
    last = batchops(*job(database, "--json", scenario=scenario))
    assert last.code == 0, last
    return met
