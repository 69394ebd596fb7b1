"""`batchops schedule` as a process: several of them, killed ones, signals, broken files, jobs that fail."""

import json
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from batchops.spec.times import Every
from tests.command import Batchops
from tests.scheduler.scene import GOOD, LEFT, PURGE, SLOW, ev, more, recipe, states, there, told
from tests.services.database import Database
from tests.services.private import free_port
from tests.waiting import HANG, Ended, ended, signalled, until


def stop(process: "subprocess.Popen[str]") -> Ended:
    """SIGTERM, and how it ended."""
    process.send_signal(signal.SIGTERM)
    return ended(process)


@pytest.mark.in_turn
def test_three_schedulers_and_one_dies(batchops: Batchops, database: Database, tmp_path: Path) -> None:
    """Each due fire has one row, whoever runs it; the one whose scheduler is killed is finished by another."""
    ev(database, 100)
    file = recipe(tmp_path / "r.toml", database, quick=f'{PURGE}\nevery = "1s"')
    slow = recipe(tmp_path / "s.toml", database, slow=f'{PURGE.replace("1", "2")}\nevery = "3s"\n{SLOW}')
    database.execute("UPDATE ev SET kind = 2 WHERE id > 40")
    processes = [batchops.start("schedule", file, slow, "--json") for _ in range(3)]
    owner = "SELECT owner FROM batchops_fire WHERE schedule LIKE 'slow%' AND state = 'running'"
    until(lambda: there(database) and database.scalar(owner))
    victim = json.loads(database.scalar(owner))["pid"]
    (killed,) = (process for process in processes if process.pid == victim)
    killed.kill()
    killed.communicate()
    more(database, 50)
    until(lambda: states(database, "slow")["taken over"] and states(database, "quick")["ran"] > 3)
    until(lambda: database.scalar("SELECT count(*) FROM ev") == 0)
    ends = [stop(process) for process in processes if process is not killed]
    found = told(database, {"quick": Every(1), "slow": Every(3)})
    assert [each.wrong for each in found.values()] == [(), ()]
    assert all(each.in_hand <= 1 for each in found.values())
    assert {state for each in found.values() for state in each.states} <= {*GOOD, *LEFT}
    assert [code for code, *_ in ends] == [0, 0]
    counted = [job["fires"] for _, out, _ in ends for job in json.loads(out)["jobs"] if job["job"] == "slow"]
    assert sum(fires["taken over"] for fires in counted) == 1
    assert database.scalar("SELECT count(*) FROM ev") == 0


def test_sigterm_finishes_the_batch_and_the_next_goes_on(
    batchops: Batchops, postgresql: Database, tmp_path: Path
) -> None:
    ev(postgresql, 200)
    file = recipe(tmp_path / "r.toml", postgresql, slow=f'{PURGE}\nevery = "1s"\n{SLOW}')
    first = batchops.start("schedule", file)
    until(lambda: postgresql.scalar("SELECT count(*) FROM ev") < 180, first)
    code, _, err = stop(first)
    left = postgresql.scalar("SELECT count(*) FROM ev")
    assert (code, left % 10, left > 0) == (0, 0, True), err
    assert "another scheduler continues it" in err
    assert states(postgresql)["running"] == 1
    second = batchops.start("schedule", file)
    until(lambda: states(postgresql)["taken over"], second)
    stop(second)
    assert postgresql.scalar("SELECT sum(row_count) FROM batchops_fire") == 200
    assert states(postgresql)["taken over"] == 1


def test_a_second_signal_rolls_back(batchops: Batchops, postgresql: Database, tmp_path: Path) -> None:
    ev(postgresql, 10)
    held = postgresql.engine.connect()
    held.exec_driver_sql("UPDATE ev SET kind = 1 WHERE id = 5")
    file = recipe(tmp_path / "r.toml", postgresql, stuck=f'{PURGE}\nevery = "1s"\nlock-timeout = "1h"\ngrace = "1h"')
    process = batchops.start("schedule", file)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    until(lambda: postgresql.scalar(waits), process)
    signalled(process, signal.SIGTERM)
    assert process.poll() is None
    code, _, err = stop(process)
    assert code == 0, err
    held.rollback()
    held.close()
    assert postgresql.scalar("SELECT count(*) FROM ev") == 10


def test_a_batch_that_outlasts_its_job_s_grace_period_is_no_good_end(
    batchops: Batchops, postgresql: Database, tmp_path: Path
) -> None:
    ev(postgresql, 10)
    held = postgresql.engine.connect()
    held.exec_driver_sql("UPDATE ev SET kind = 1 WHERE id = 5")
    file = recipe(tmp_path / "r.toml", postgresql, stuck=f'{PURGE}\nevery = "1s"\nlock-timeout = "1h"\ngrace = "300ms"')
    process = batchops.start("schedule", file)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    until(lambda: postgresql.scalar(waits), process)
    code, _, err = stop(process)
    assert (code, "which cut a batch" in err) == (143, True), err
    held.rollback()
    held.close()
    assert postgresql.scalar("SELECT count(*) FROM ev") == 10


def test_sighup_reads_the_files_again(batchops: Batchops, sqlite: Database, tmp_path: Path) -> None:
    """A file with a mistake changes nothing; a good one takes the place of the old one."""
    ev(sqlite, 10)
    file = recipe(tmp_path / "r.toml", sqlite, old=f'{PURGE}\nevery = "1s"')
    process = batchops.start("schedule", file)
    until(lambda: states(sqlite, "old")["ran"], process)
    file.write_text("[job.old\nevery = 3")
    process.send_signal(signal.SIGHUP)
    before = states(sqlite, "old")["ran"]
    until(lambda: states(sqlite, "old")["ran"] > before + 1, process)
    recipe(file, sqlite, new=f'{PURGE}\nevery = "1s"')
    process.send_signal(signal.SIGHUP)
    until(lambda: states(sqlite, "new")["ran"], process)
    code, _, err = stop(process)
    assert code == 0
    assert err.count("the old jobs stay") == 1
    assert "has a mistake" in err or "mistakes" in err
    assert err.count("the files were reloaded") == 1


def test_a_failing_job_is_seen_and_stops_no_other(batchops: Batchops, sqlite: Database, tmp_path: Path) -> None:
    ev(sqlite, 10)
    wrong = PURGE.replace("ev", "nothere")
    file = recipe(tmp_path / "r.toml", sqlite, good=f'{PURGE}\nevery = "1s"', bad=f'{wrong}\nevery = "1s"')
    port, figures, events = free_port(), tmp_path / "figures", tmp_path / "events"
    process = batchops.start(
        "schedule", file, "--health-port", port, "--metrics-file", figures, "--events", events, "--log-format", "json"
    )
    until(lambda: states(sqlite, "bad")["failed"] > 1 and states(sqlite, "good")["ran"] > 1, process)
    with pytest.raises(urllib.error.HTTPError) as unwell:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=HANG)
    document = json.loads(unwell.value.read())
    unwell.value.close()
    assert (unwell.value.code, document["failing"], document["status"]) == (503, ["bad"], "failing")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/live", timeout=HANG) as live:
        assert json.loads(live.read())["status"] == "ok"
    code, _, err = stop(process)
    assert code == 0
    lines = [json.loads(line) for line in err.splitlines()]
    ended = {(line["job"], line["exit"]) for line in lines if line.get("event") == "finished"}
    assert {("good", 0), ("bad", 10)} <= ended
    assert {code for _, code in ended} <= {0, 10, 143}, "a fire that was in hand at the signal ends by it"
    assert 'batchops_fires_total{batchops_job="bad",state="failed"}' in figures.read_text()
    assert {json.loads(line).get("job") for line in events.read_text().splitlines()} == {"good", "bad"}


def test_fires_of_one_process_say_so(batchops: Batchops, sqlite: Database, tmp_path: Path) -> None:
    ev(sqlite, 10)
    file = recipe(tmp_path / "r.toml", sqlite, one=f'{PURGE}\nevery = "1s"')
    process = batchops.start("schedule", file, "--ledger", "none", "-q")
    until(lambda: not sqlite.scalar("SELECT count(*) FROM ev"), process)
    code, out, err = stop(process)
    assert (code, out) == (0, "")
    assert err.count("in this process only") == 1
    assert not there(sqlite)


def test_what_needs_another_runs_it_first(batchops: Batchops, sqlite: Database, tmp_path: Path) -> None:
    ev(sqlite, 10)
    sqlite.execute("UPDATE ev SET kind = 5")
    change = 'verb = "backfill"\ntable = "ev"\nwhere = "kind = 5"\nset = ["kind = 1"]'
    file = recipe(tmp_path / "r.toml", sqlite, first=change, then=f'{PURGE}\nneeds = ["first"]\nevery = "1s"')
    process = batchops.start("schedule", file)
    until(lambda: states(sqlite, "then")["ran"], process)
    stop(process)
    assert sqlite.scalar("SELECT count(*) FROM ev") == 0


@pytest.mark.full
def test_one_worker_starves_nobody(batchops: Batchops, sqlite: Database, tmp_path: Path) -> None:
    ev(sqlite, 0)
    jobs = {f"job{n}": f'{PURGE.replace("1", str(n))}\nevery = "1s"' for n in range(4)}
    process = batchops.start("schedule", recipe(tmp_path / "r.toml", sqlite, **jobs), "--workers", "1")
    until(lambda: all(states(sqlite, name)["ran"] >= 2 for name in jobs), process)
    stop(process)
    found = told(sqlite, {name: Every(1) for name in jobs})
    assert [text for each in found.values() for text in each.wrong] == []
    assert sum(each.in_hand for each in found.values()) <= 1


def test_what_is_wrong_is_said_at_once(batchops: Batchops, sqlite: Database, tmp_path: Path) -> None:
    good = f'{PURGE}\nevery = "1s"'
    untimed = recipe(tmp_path / "untimed.toml", sqlite, one=PURGE)
    twice = recipe(tmp_path / "twice.toml", sqlite, one=good)
    other = recipe(tmp_path / "other.toml", sqlite, one=good)
    wrong = recipe(
        tmp_path / "wrong.toml", sqlite,
        a=f'{PURGE}\ncron = "61 * * * *"', b=f'{PURGE}\nevery = "1500ms"', c=f'{PURGE}\nevery = "1s"\njitter = "2s"',
        d='verb = "drain"\ntable = "ev"\nwhere = "kind = 1"\ndelete = true\nset = []\npoll = "1s"\nevery = "5s"',
    )  # fmt: skip
    for words, said in (
        ((untimed,), ["No job in", "has a schedule"]),
        ((twice, other), ['Two jobs are called "one"']),
        ((tmp_path / "nothere.toml",), ["nothere.toml"]),
        ((wrong,), ["61 * * * *", "1.5 s", "itter must be shorter than", "leave poll out"]),
        ((twice, "--health-port", "x"), ["--health-port", "is not a port"]),
        ((twice, "--ping", "nobody=https://example.org"), ['no job "nobody"']),
        ((), ["FILE"]),
    ):
        done = batchops("schedule", *words)
        assert (done.code, done.out) == (2, ""), done.err
        assert [text for text in said if text not in done.err] == [], done.err
        assert "Traceback" not in done.err


def test_the_preview(batchops: Batchops, sqlite: Database, tmp_path: Path) -> None:
    """It asks no database, and marks the nights on which a clock is changed."""
    night = f'{PURGE}\ncron = "30 2 * 3 0L"\ntime-zone = "Europe/Berlin"'
    hourly = f'{PURGE}\ncron = "30 * * 10 0L"\ntime-zone = "Europe/Berlin"'
    file = recipe(tmp_path / "r.toml", sqlite, often=f'{PURGE}\nevery = "20s"', night=night, hourly=hourly)
    done = batchops("schedule", file, "--preview")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("\n") == 3 * 11
    assert 'night: cron "30 2 * 3 0L" Europe/Berlin' in done.out
    assert done.out.count("clock put forward: the time does not exist") == 10
    assert [word for word in ("the first 02:30", "the second 02:30") if word not in done.out] == []
    document = batchops("schedule", file, "--preview", "--json").json()
    assert [len(job["fires"]) for job in document["jobs"]] == [10, 10, 10]
    assert not there(sqlite)
