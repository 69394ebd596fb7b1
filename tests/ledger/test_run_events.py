"""What is kept of a run for later: its plan, and its last events, few and bounded, whatever happens."""

import signal
from pathlib import Path

import pytest

from batchops.db.database import connect
from batchops.db.urls import address
from batchops.events import Committed, Rejected, Retried, Throttled, ThrottleReason, UsualReason, Warned
from batchops.ledger.ledger import Ledger
from batchops.ledger.run_events import MOST, load_events
from batchops.runtime.event_log import TOGETHER, EventLog
from batchops.runtime.loop import RunStats
from batchops.runtime.sampler import Sampler
from tests.clock import Clock
from tests.command import Batchops
from tests.databases.numbered import Job, numbered
from tests.queue.jobs import DRAIN, jobs
from tests.services.database import Database
from tests.waiting import until


def test_events_alike_are_one_and_what_is_usual_is_none() -> None:
    clock = Clock()
    log = EventLog(clock)
    log(Committed(1, 1, 0.1, 1))
    log(Throttled("sleep", 1.0))
    log(Throttled("rate", 1.0, (UsualReason("rate", 1.0, "max-rate"),)))
    assert log.changed() == []
    for value in (12, 13, 14):
        log(Throttled("", 1.0, (ThrottleReason(f"load: {value} (limit 4)", 1.0, "load", value, 4),)))
        log(Retried(f"Deadlock with process {value}", 1, 0.1))
        log(Rejected(f"{value}", "a check fails"))
        clock.now += 1
    found = log.changed()
    assert [(one.event, one.text, one.times) for one in found] == [
        ("throttled", "load: 14 (limit 4)", 3),
        ("retried", "Deadlock with process 14", 3),
        ("rejected", "row 14: a check fails", 3),
    ]
    clock.now += TOGETHER + 1
    log(Warned("other"))
    log(Retried("Deadlock with process 15", 1, 0.1))
    assert [(one.number, one.text, one.times) for one in log.changed()] == [
        (3, "other", 1), (4, "Deadlock with process 15", 1)
    ]  # fmt: skip
    for n in range(2 * MOST):
        log(Warned(f"warning {'x' * n}"))
    assert len(log.all()) == MOST


@pytest.mark.in_turn
def test_the_ring_keeps_the_last_ones_over_several_processes(database: Database) -> None:
    numbered(database, 100, m=("integer", "0"))
    Job(database, "purge", where="id <= 10")()
    opened = connect(address(database.url, {}))
    ledger = Ledger(opened, None, inside=True)
    run = ledger.read(1)
    for process in range(2):
        clock = Clock()
        log = EventLog(clock)
        sampler = Sampler(ledger, run, RunStats(), log)
        for n in range(MOST // 2 + 5):
            log(Warned(f"process {'I' * (process + 1)}, {'x' * n} 🛑"))
            clock.now += 1
            if n % 7 == 0:
                with opened.transaction() as connection:
                    sampler(connection)
        with opened.transaction() as connection:
            sampler.end(connection, "failed", "why")
    with opened.reading() as connection:
        found = load_events(connection, ledger, 1)
    opened.close()
    assert len(found) == MOST
    assert [one.text for one in found if one.event == "ended"][-1] == "failed: why"
    assert sum("process II," in one.text for one in found) == MOST // 2 + 5
    assert all("🛑" in one.text for one in found if one.event == "warned")


@pytest.mark.in_turn
def test_a_run_shows_its_plan_its_rejected_rows_and_its_events(database: Database, batchops: Batchops) -> None:
    database.execute("CREATE TABLE r (id integer PRIMARY KEY, m integer NOT NULL CHECK (m < 17))")
    database.insert("r", ("id", "m"), [(n, 0) for n in range(1, 21)])
    words = ("backfill", "r", "--set", "m = id", "--where", "m = 0", "-y", "--url", database.url)
    assert batchops(*words).code == 3
    shown = batchops("show", 1, "--json", "--url", database.url).json()
    assert (shown["plan"]["strategy"], shown["plan"]["condition"]) == (shown["strategy"], "m = 0")
    (rejected,) = shown["rejections"]
    assert (rejected["rows"], rejected["keys"]) == (4, ["id=17", "id=18", "id=19"])
    events = {one["event"]: one for one in shown["events"]}
    assert {"started", "rejected", "ended"} <= events.keys()
    assert (events["rejected"]["text"], events["rejected"]["times"]) == (f"row id=20: {rejected['reason']}", 4)
    text = batchops("show", 1, "--url", database.url).out
    assert "\nplan      strategy: " in text
    assert "\nrejected  " in text
    assert "\nevent     " in text
    database.execute("UPDATE batchops_run SET ended_at = ended_at - 10")
    assert batchops("ledger", "prune", "--older-than", "1s", "--url", database.url).code == 0
    assert database.scalar("SELECT count(*) FROM batchops_run") == 0
    assert database.scalar("SELECT count(*) FROM batchops_plan") == 0
    assert database.scalar("SELECT count(*) FROM batchops_event") == 0


@pytest.mark.full
@pytest.mark.in_turn
def test_a_drain_keeps_them_too_also_after_kill_9(database: Database, batchops: Batchops, tmp_path: Path) -> None:
    jobs(database, 20)
    hold = tmp_path / "hold"
    hold.touch()
    words = ("drain", "jobs", "--url", database.url, *DRAIN, "--set", "n = n + 1", "--throttle-file", hold)
    process = batchops.start(*map(str, words))
    until(lambda: "throttled" in kept(batchops, database), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    shown = batchops("show", 1, "--json", "--url", database.url).json()
    assert (shown["state"], "where" in str(shown["plan"]) or "rows" in shown["plan"]) == ("crashed", True)
    assert [one["event"] for one in shown["events"]][:2] == ["started", "throttled"]


def kept(batchops: Batchops, database: Database) -> list[str]:
    shown = batchops("show", 1, "--json", "--url", database.url)
    return [one["event"] for one in shown.json()["events"]] if shown.code == 0 else []
