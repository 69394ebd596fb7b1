"""Writers at work, relays killed all the while: everything that was committed is delivered, each aggregate in order."""

import itertools
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.figures import Figures
from tests.outbox import wrong
from tests.outbox.boxes import delivered, left, made
from tests.outbox.writers import Writing, aggregates, verdict, write
from tests.services.database import FAMILIES, Database
from tests.waiting import HANG

LEASE = "1min"
"""Longer than a busy machine lets a healthy relay wait; that one was killed is seen by its process."""
LONG = [pytest.mark.full, pytest.mark.timeout(1200)]
SMALL, MANY, LARGE = Writing(900, 40, delay=0.06), Writing(15_000, 500), Writing(50_000, 1_000)


class Killed:
    """Relays that are killed with -9 one after the other."""

    def __init__(self, batchops: Batchops, database: Database, *args: str, relays: int = 1) -> None:
        self._batchops = batchops
        self._database = database
        self._args = ("relay", "outbox", "--url", database.url, "--poll", "100ms", "--lease", LEASE, "-q", *args)
        self._numbers = itertools.count()
        self._running = [self._start() for _ in range(relays)]
        self._over = threading.Event()
        self.kills = 0

    @contextmanager
    def while_working(self, every: float) -> Iterator[None]:
        """Kill one of them about so often, until the block ends."""
        thread = threading.Thread(target=self._kill, args=(every,))
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def end(self) -> list[int]:
        """SIGTERM to all; the exit codes."""
        for process, events in self._running:
            while not (events.exists() and "started" in events.read_text()):
                assert process.poll() is None, process.communicate()[1]
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
        return [process.wait(60) for process, _ in self._running]

    def _kill(self, every: float) -> None:
        while not self._over.wait(every * (0.5 + random.random())):
            victim = random.randrange(len(self._running))
            process, _ = self._running[victim]
            process.kill()
            process.communicate()
            before = sent(self._database)
            self._running[victim] = self._start()
            self.kills += 1
            while sent(self._database) == before and not self._over.wait(0.1):
                pass  # however slow the machine, something is delivered between two kills

    def _start(self) -> tuple[subprocess.Popen[str], Path]:
        events = self._batchops.home / f"events-{next(self._numbers)}"
        return self._batchops.start(*self._args, "--events", str(events)), events


def sent(database: Database) -> int:
    count: int = database.scalar("SELECT count(*) FROM outbox WHERE sent_at IS NOT NULL")
    return count


def until_sent(database: Database) -> None:
    """As long as some are sent: how many relays of a busy machine send in a second says nothing."""
    before, since = left(database), time.monotonic()
    while before:
        time.sleep(0.05)
        if (now := left(database)) != before:
            before, since = now, time.monotonic()
        assert time.monotonic() - since < HANG, f"{before} events were never sent"


def in_file(path: Path) -> Iterator[tuple[str, str, str]]:
    return ((line["id"], line["key"], line["body"]) for line in delivered(path))


def tiers(*quick: str) -> pytest.MarkDecorator:
    """Databases with many events in the long tier; those named also with few in the quick one."""
    cases = [pytest.param(name, False, id=f"{name}-quick") for name in quick]
    cases += [pytest.param(name, True, id=f"{name}-full", marks=LONG) for name in FAMILIES]
    return pytest.mark.parametrize(("name", "full"), cases)


@pytest.mark.full
@tiers("postgresql")
def test_killed_relays_lose_nothing_and_keep_the_order(
    batchops: Batchops, new_database: NewDatabase, tmp_path: Path, name: str, full: bool, figures: Figures
) -> None:
    database, plan = new_database(name), LARGE if full else SMALL
    made(database)
    aggregates(database, plan.aggregates)
    relay = Killed(batchops, database, "--to", f"file:{tmp_path}/out", *([] if full else ["--batch-size", "20"]))
    before = time.monotonic()
    with relay.while_working(2.0 if full else 1.2):
        while relay.kills < 2:
            write(database, plan)
        until_sent(database)
    found = verdict(database, in_file(tmp_path / "out"))
    figures(events=plan.events, seconds=time.monotonic() - before, kills=relay.kills, found=found)
    assert found.good, found
    assert relay.end() == [0]


@pytest.mark.wide(2)
@pytest.mark.parametrize(
    ("reader", "fault"),
    [
        (wrong.by_id, "lost"),
        (wrong.by_id_with_a_fence, "lost"),
        (wrong.by_transaction, "inverted"),
        (wrong.four_that_skip_locked, "inverted"),
        (wrong.one_that_follows_the_flag, ""),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_check_finds_readers_that_are_wrong(
    postgresql: Database, reader: wrong.Reader, fault: str, figures: Figures
) -> None:
    made(postgresql)
    postgresql.execute("ALTER TABLE outbox ADD COLUMN xid xid8 DEFAULT pg_current_xact_id()")
    plan = Writing(600, 20, delay=0.01)
    aggregates(postgresql, plan.aggregates)
    scene = wrong.Scene(postgresql)
    thread = threading.Thread(target=reader, args=(scene,))
    thread.start()
    write(postgresql, plan)
    scene.overtake()
    scene.over.set()
    thread.join()
    found = verdict(postgresql, scene.delivered)
    figures(events=plan.events, found=found)
    assert getattr(found, fault) > 0 if fault else found.good
