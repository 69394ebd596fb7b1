"""Drains as the ledger shows them, and as they are paused, resumed, changed and stopped from outside."""

import json
import signal
from typing import Any

import pytest

from tests.command import Batchops
from tests.leases import heartbeats
from tests.queue.jobs import DRAIN, jobs, states
from tests.services.database import Database
from tests.waiting import ended, until

POLLING = ("--set", "n = n + 1", "--poll", "100ms", "--batch-size", "10", "--json")


def run(batchops: Batchops, database: Database, number: int = 1) -> Any:
    """The run as `show` has it."""
    return batchops.ask(database, "show", number)


def pending(database: Database) -> int:
    return states(database).get("pending", 0)


@pytest.mark.full
@pytest.mark.in_turn
def test_a_drain_has_a_row_and_obeys(batchops: Batchops, database: Database) -> None:
    jobs(database, 40)
    process = batchops.start("drain", "jobs", "--url", database.url, *DRAIN, *POLLING)
    until(lambda: pending(database) == 0, process)
    until(lambda: run(batchops, database)["rows"] == 40, process)
    shown = run(batchops, database)
    assert (shown["verb"], shown["table"].rpartition(".")[2], shown["state"]) == ("drain", "jobs", "running")
    assert (shown["where"], shown["owner"]["pid"]) == ("status = 'pending'", process.pid)
    assert shown["next"] is None

    batchops.ask(database, "pause", 1, "handler is broken")
    until(lambda: "handler is broken" in (run(batchops, database)["waiting"] or ""), process)
    database.execute("UPDATE jobs SET status = 'pending'")
    heartbeats(database, process, 2)
    assert pending(database) == 40
    batchops.ask(database, "set", 1, "--batch-size", 7)
    batchops.ask(database, "resume", 1)
    until(lambda: pending(database) == 0, process)
    batchops.ask(database, "stop", "--job", 1)
    end = ended(process)
    assert (end.code, json.loads(end.out)["reason"], json.loads(end.out)["run"]) == (0, "stopped", 1), end
    assert (run(batchops, database)["state"], run(batchops, database)["rows"]) == ("stopped", 80)
    samples = batchops.ask(database, "show", 1, "--samples")["samples"]
    assert samples[-1]["rows"] >= 40
    assert {sample["batch_rows"] for sample in samples} <= {10, 7}
    assert sorted(samples, key=lambda sample: sample["at"]) == samples


@pytest.mark.in_turn
def test_several_drains_of_a_table_are_several_runs_and_a_dead_one_is_told_apart(
    batchops: Batchops, database: Database
) -> None:
    jobs(database, 5)
    words = ("drain", "jobs", "--url", database.url, *DRAIN, *POLLING)
    first, second = batchops.start(*words), batchops.start(*words)
    until(lambda: len(batchops.ask(database, "runs")["runs"]) == 2, first)
    assert [one["state"] for one in batchops.ask(database, "runs")["runs"]] == ["running", "running"]
    by_process = {one["owner"]["pid"]: one["run"] for one in batchops.ask(database, "runs")["runs"]}
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert run(batchops, database, by_process[first.pid])["state"] == "crashed"
    assert run(batchops, database, by_process[second.pid])["state"] == "running"
    (cancelled,) = batchops.ask(database, "cancel", "--all")["runs"]
    assert cancelled["run"] == by_process[second.pid]
    assert ended(second).code == 0
    last = batchops(*(word for word in words if word not in ("--poll", "100ms")))
    assert (last.code, last.json()["run"]) == (0, 3)
    assert [one["state"] for one in batchops.ask(database, "runs")["runs"]] == ["done", "stopped", "crashed"] or [
        one["state"] for one in batchops.ask(database, "runs")["runs"]
    ] == ["done", "crashed", "stopped"]


def test_a_drain_without_a_ledger(batchops: Batchops, sqlite: Database) -> None:
    jobs(sqlite, 5)
    done = batchops("drain", "jobs", "--url", sqlite.url, *DRAIN, "--set", "n = 1", "--ledger", "none", "--json")
    assert (done.code, done.json()["run"], "warning" in done.err) == (0, None, False), done
    assert sqlite.column("SELECT name FROM sqlite_master WHERE name LIKE 'batchops_run%'") == []


@pytest.mark.in_turn
def test_a_dead_drain_of_another_host_ends_after_a_day(batchops: Batchops, database: Database) -> None:
    jobs(database, 5)
    words = ("drain", "jobs", "--url", database.url, *DRAIN, "--set", "n = 1", "-q")
    process = batchops.start(*words, "--poll", "100ms")
    until(lambda: len(batchops.ask(database, "runs")["runs"]) == 1, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    owner = json.loads(database.scalar("SELECT owner FROM batchops_lease")) | {"boot": "another host"}
    database.execute("UPDATE batchops_lease SET owner = :owner", owner=json.dumps(owner))
    ended_at = float(database.scalar("SELECT lease_until FROM batchops_lease"))
    for ago, state in ((3_600.0, "stale"), (2 * 86_400.0, "crashed")):
        database.execute("UPDATE batchops_lease SET lease_until = :at", at=ended_at - ago)
        assert batchops(*words).code == 0
        assert run(batchops, database)["state"] == state
    assert database.scalar("SELECT count(*) FROM batchops_lease") == 0
