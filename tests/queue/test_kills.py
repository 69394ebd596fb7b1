"""Workers killed in the middle of it: every row is handled, effects in the database exactly once, none held by two."""

import itertools
import random
import signal
import subprocess
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.figures import Figures
from tests.queue.jobs import DRAIN, held_by_two, jobs, leased, logged, slowest_rescue, states
from tests.services.database import FAMILIES, Database
from tests.waiting import ended, until

WORKERS, LEASE = 2, 2.0
CALL = "tests.queue.functions:{}"


def _started(events: Path) -> bool:
    return events.exists() and "started" in events.read_text()


class Herd:
    """Draining processes with two workers each; one that is killed is started again."""

    def __init__(
        self, batchops: Batchops, database: Database, args: tuple[str, ...], handled: Path, processes: int
    ) -> None:
        self._batchops = batchops
        self._args = ("drain", "jobs", "--url", database.url, *DRAIN, *args, "--workers", str(WORKERS))
        self._handled = handled
        self._numbers = itertools.count()
        self._running = [self._start() for _ in range(processes)]
        self.kills = 0

    def kill_one(self) -> None:
        """kill -9, and another takes its place."""
        victim = random.randrange(len(self._running))
        process, _ = self._running[victim]
        process.kill()
        process.communicate()
        self.kills += 1
        self._running[victim] = self._start()

    def end(self) -> list[tuple[int, str]]:
        """SIGTERM once all are up; the exit codes, with what the processes printed about failures."""
        for process, events in self._running:
            until(partial(_started, events), process)
            process.send_signal(signal.SIGTERM)
        ends = [ended(process) for process, _ in self._running]
        return [(end.code, end.err if end.code else "") for end in ends]

    def _start(self) -> tuple[subprocess.Popen[str], Path]:
        events = self._batchops.home / f"events-{next(self._numbers)}"
        stay = ("--poll", "200ms", "--lease", f"{LEASE:g}s", "-q", "--events", str(events))
        return self._batchops.start(*self._args, *stay, env={"HANDLED": str(self._handled)}), events


def killed(
    batchops: Batchops, database: Database, args: tuple[str, ...], handled: Path, *, full: bool
) -> tuple[int, float]:
    """Drain with kills, each once something was done since the last one; how many, and in what time."""
    before, known = time.monotonic(), 0
    herd = Herd(batchops, database, args if full else (*args, "--sleep", "100ms"), handled, 4 if full else 2)
    while {"pending", "running"} & (found := states(database)).keys():
        more = time.monotonic() - before < 300 if full else herd.kills < 3
        if more and found.get("done", 0) > known:
            known = found["done"]
            herd.kill_one()
        time.sleep(0.5 if full else 0.1)
    took = time.monotonic() - before
    assert set(herd.end()) == {(0, "")}
    assert herd.kills > 0
    return herd.kills, took


def handled_by(path: Path) -> Counter[int]:
    """How often each job was handled; a line torn by a kill counts for none."""
    return Counter(int(line) for line in path.read_text().splitlines() if line.isdigit())


def check(database: Database, rows: int, kills: int, took: float, figures: Figures) -> None:
    """All done, and what the log of claims says."""
    assert states(database) == {"done": rows}
    assert held_by_two(database) == 0
    rescue = slowest_rescue(database)
    claims = database.scalar("SELECT count(*) FROM claims")
    lost = database.scalar("SELECT count(*) FROM claims WHERE lost_until < claimed_at")
    figures(
        rows=rows, seconds=took, kills=kills, claims=claims, of_a_lost_lease=lost, slowest_rescue_after_its_lease=rescue
    )


def rows_for(database: Database, full: bool) -> int:
    if not full:
        return 2_000
    return 20_000 if database.backend == "sqlite" else 50_000


LONG = [pytest.mark.full, pytest.mark.timeout(900)]


def tiers(*quick: str) -> pytest.MarkDecorator:
    """Databases with many rows in the long tier; those named also with few in the quick one."""
    cases = [pytest.param(name, False, id=f"{name}-quick") for name in quick]
    cases += [pytest.param(name, True, id=f"{name}-full", marks=LONG) for name in FAMILIES]
    return pytest.mark.parametrize(("name", "full"), cases)


@tiers("mariadb")
def test_each_row_is_handled_and_none_by_two_at_a_time(
    batchops: Batchops, new_database: NewDatabase, tmp_path: Path, name: str, full: bool, figures: Figures
) -> None:
    database = new_database(name)
    rows = rows_for(database, full)
    jobs(database, rows)
    leased(database)
    logged(database)
    handled = tmp_path / "handled"
    handled.touch()
    call = ("--call", CALL.format("record"), "--batch-size", "50")
    kills, took = killed(batchops, database, call, handled, full=full)
    check(database, rows, kills, took, figures)
    seen = handled_by(handled)
    assert set(seen) == set(range(1, rows + 1))
    figures(handled_more_than_once=sum(n > 1 for n in seen.values()))


@tiers()
@pytest.mark.parametrize("place", ["columns", "table"])
def test_rows_that_are_marked_while_they_are_leased(
    batchops: Batchops, new_database: NewDatabase, tmp_path: Path, name: str, full: bool, figures: Figures, place: str
) -> None:
    database = new_database(name)
    rows = 20_000 if full else 2_000
    jobs(database, rows)
    leased(database, place, "--claimed")
    marks = ("--claimed", "status = 'running'", "--claimed", "payload = 'at work'", "--batch-size", "50")
    kills, took = killed(batchops, database, (*marks, "--set", "n = n + 1"), tmp_path / "none", full=full)
    assert states(database) == {"done": rows}
    exactly_once(database, "--set")
    where = "jobs" if place == "columns" else "batchops_row_lease"
    assert database.scalar(f"SELECT count(*) FROM {where} WHERE before_claim IS NOT NULL") == 0
    figures(rows=rows, seconds=took, kills=kills)


EFFECTS = {
    "set": ("--set", "n = n + 1", "--sleep", "20ms", "--batch-size", "50"),
    "connection": ("--call", CALL.format("effect"), "--batch-size", "50"),
}
_QUICK = {("connection", "columns"): "postgresql", ("set", "none"): "sqlite"}
_PLACES = [(effect, place) for effect in EFFECTS for place in ("columns", "none")]


@pytest.mark.wide(1)
@pytest.mark.parametrize(
    ("effect", "place", "name", "full"),
    [
        *(pytest.param(*both, name, False, id=f"{'-'.join(both)}-{name}-quick") for both, name in _QUICK.items()),
        *(
            pytest.param(*both, name, True, id=f"{'-'.join(both)}-{name}-full", marks=LONG)
            for both in _PLACES
            for name in FAMILIES
        ),
    ],
)
def test_effects_are_made_exactly_once(
    batchops: Batchops, new_database: NewDatabase, tmp_path: Path, effect: str, place: str, name: str, full: bool,
    figures: Figures,
) -> None:  # fmt: skip
    """Through the connection and by --set, with leases and by row locks alone."""
    database = new_database(name)
    rows = rows_for(database, full)
    jobs(database, rows)
    if place == "columns":
        leased(database)
        logged(database)
    args = EFFECTS[effect] if place == "columns" else (*EFFECTS[effect], "--lease-in", place)
    kills, took = killed(batchops, database, args, tmp_path / "none", full=full)
    if place == "columns":
        check(database, rows, kills, took, figures)
    else:
        assert states(database) == {"done": rows}
        figures(rows=rows, seconds=took, kills=kills)
    exactly_once(database, args[0])


def exactly_once(database: Database, flag: str) -> None:
    """Every job has its effect, and none has it twice."""
    if flag == "--set":
        assert database.rows("SELECT min(n), max(n) FROM jobs") == [(1, 1)]
        return
    ((effects, different),) = database.rows("SELECT count(*), count(DISTINCT job) FROM effects")
    assert effects == different == database.scalar("SELECT count(*) FROM jobs")
