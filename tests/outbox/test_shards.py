"""Several relays share an outbox: what one of them holds is neither lost, nor passed by, nor said to be done."""

import itertools
import os
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from batchops.db.database import connect
from batchops.db.urls import address
from batchops.errors import LockedError
from batchops.outbox.after_delivery import DeliveryRecorder
from batchops.outbox.circuit_breaker import CircuitBreaker
from batchops.outbox.delivery import DeliveryWorker
from batchops.outbox.failures import FailurePolicy, RefusedEvents
from batchops.outbox.low_water import OutboxLowWaterMark
from batchops.outbox.mapping import MessageMapper
from batchops.outbox.prepare import prepare_relay
from batchops.outbox.relay_registry import Registry
from batchops.outbox.shards import Shards
from batchops.outbox.source import EventSource
from batchops.outbox.spec import RelaySpec
from batchops.outbox.step import RelayStep
from batchops.outbox.tables import OutboxTables
from batchops.runtime.backoff import RetryPolicy
from batchops.runtime.batch_size import Size
from batchops.runtime.counters import Counters
from batchops.runtime.threads import Threads
from batchops.spec.models import checked
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.outbox.boxes import delivered, event, left, made, relay, saved
from tests.outbox.test_order import LONG, MANY, Writing, in_file, sent, until_sent
from tests.outbox.writers import aggregates, verdict, write
from tests.queue.jobs import here
from tests.services.database import FAMILIES, Database

pytestmark = pytest.mark.in_turn

NOWHERE = "http://127.0.0.1:9/"
"""A destination that is down."""


class Relays:
    """Relays of one outbox in this process, each with a clock that stands still."""

    def __init__(self, database: Database) -> None:
        self.database = connect(address(database.url, os.environ))
        self.tables = OutboxTables(self.database, None)
        self.tables.make()
        self._tables = database
        self.url = database.url

    def registry(self) -> Registry:
        return Registry(self.database, self.tables.relays, self.tables.shards, "outbox")

    def one(self, count: int = 4, *, stays: bool = True) -> Shards:
        return Shards(self.database, self.registry(), "outbox", count, 60.0, stays=stays, clock=lambda: 100.0)

    def expire(self) -> None:
        """Every relay lease has expired."""
        self._tables.execute("UPDATE batchops_relay SET lease_until = 0")


def turned(shards: Shards) -> int:
    """How many shards it has after a heartbeat at which it had nothing in flight."""
    shards.look()
    shards.change()
    return len(shards.mine)


@pytest.fixture
def relays(database: Database) -> Iterator[Relays]:
    made(database)
    relays = Relays(database)
    yield relays
    relays.database.close()


def test_shards_go_over_one_a_heartbeat_and_not_before_all_is_marked(relays: Relays) -> None:
    first, second = relays.one(), relays.one()
    assert (turned(first), turned(second)) == (4, 0)
    first.look()
    assert first.changing
    assert len(first.mine) == 4, "messages may be in flight: it keeps all until `change`"
    assert turned(second) == 0
    assert first.change() is False
    assert (len(first.mine), turned(second)) == (3, 1)
    assert (turned(first), turned(second), turned(first), turned(second)) == (2, 2, 2, 2)
    assert set(first.mine) | set(second.mine) == {0, 1, 2, 3}


def test_a_shard_goes_over_once_all_that_was_sent_of_it_is_marked(
    relays: Relays, database: Database, tmp_path: Path
) -> None:
    """A batch is in flight while the one before it is marked."""
    saved(database, [event(n % 20, n) for n in range(40)])
    out = tmp_path / "out"
    with working(relays, f"file:{out}") as (step, mine, tick):
        newcomer = relays.one()
        for _ in range(2):
            assert step(Size(rows=5, read=5))
        until(lambda: len(delivered(out)) == 15)
        assert left(database) == 30, "of three batches that were sent the third is not marked yet"
        assert turned(newcomer) == 0
        tick(30.0)
        assert step(Size(rows=5, read=5))
        assert (turned(newcomer), left(database), len(delivered(out))) == (0, 25, 15)
        assert step(Size(rows=5, read=5))
        assert (len(mine.mine), turned(newcomer)) == (3, 1)


@contextmanager
def working(relays: Relays, to: str) -> Iterator[tuple[RelayStep, Shards, Callable[[float], None]]]:
    """A relay step by step, its shards, and what puts its clock forward."""
    spec = checked(RelaySpec, {"table": "outbox", "to": to, "url": relays.url})
    threads, now = Threads(lambda _: None, lambda _: None), [0.0]
    with prepare_relay(spec, {}) as job, ExitStack() as stack:
        database, outbox = job.database, job.outbox
        shards = Shards(database, relays.registry(), "outbox", 4, 60.0, stays=True, clock=lambda: now[0])
        failures = RefusedEvents(database, job.tables.failed, outbox)
        low, compose = OutboxLowWaterMark(database, outbox, failures), MessageMapper(outbox, job.mapping)
        source = EventSource(database, outbox, compose, shards, failures, low, thorough=False, max_bytes=1 << 20)
        courier = DeliveryWorker(job.sink, lambda: False, lambda _: None, threads)
        stack.callback(courier.close)
        yield (
            RelayStep(
                source, courier, DeliveryRecorder(database, outbox, shards, failures, job.after_delivery), failures,
                FailurePolicy("wait", RetryPolicy.starting_at(1.0, max_attempts=5)), CircuitBreaker(None), shards,
                Counters("failed", "unsent", "held", "dead_letters"), ahead=lambda: True, begin=lambda work: work,
            ),
            shards,
            lambda seconds: now.__setitem__(0, now[0] + seconds),
        )  # fmt: skip


def test_a_relay_whose_lease_has_ended_is_fenced(relays: Relays) -> None:
    stopped, other = relays.one(), relays.one()
    assert turned(stopped) == 4
    relays.expire()
    stopped.renew()
    assert turned(other) == 0, "it came back in time"
    relays.expire()
    assert turned(other) == 4
    for late in (stopped.renew, stopped.look):
        with pytest.raises(LockedError, match="taken over"):
            late()


def test_a_lease_renewed_since_it_was_read_is_not_taken_over(relays: Relays) -> None:
    slow, registry = relays.one(), relays.registry()
    slow.look()
    relays.expire()
    with relays.database.reading() as connection:
        seen = registry.relays(connection)
    slow.renew()
    with relays.database.transaction() as connection:
        assert [one.gone for one in seen] == [True]
        assert registry.remove_gone(connection, seen) == seen


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_relay_frozen_in_a_transaction_keeps_its_shards_and_stops_no_other(relays: Relays) -> None:
    frozen, other = relays.one(), relays.one()
    for one in (frozen, other) * 3:
        turned(one)
    assert (len(frozen.mine), len(other.mine)) == (2, 2)
    relays.expire()
    with relays.database.transaction() as connection:
        frozen.prove(connection)  # it marks sent events, and is frozen
        assert (turned(other), turned(other)) == (2, 2)
    with relays.database.transaction() as connection:
        relays.registry().locked(connection)  # it looks, and is frozen
        assert (turned(other), turned(other)) == (2, 2)
    relays.expire()
    assert turned(other) == 4


def test_another_number_of_shards_is_refused_until_the_others_have_ended(relays: Relays) -> None:
    with relays.one(4).heartbeat(Threads(print, print), lambda: None):
        wide = relays.one(4)
        with wide.heartbeat(Threads(print, print), lambda: None):
            wide.look()
            with pytest.raises(LockedError, match=r'divides "outbox" into 4 shards.*process'):
                relays.one(2).look()
    assert turned(relays.one(2)) == 2


EVERYWHERE = pytest.mark.parametrize("name", FAMILIES)


@EVERYWHERE
def test_one_relay_delivers_every_shard(new_database: NewDatabase, name: str, tmp_path: Path) -> None:
    database = new_database(name)
    made(database)
    saved(database, [event(n % 20, n) for n in range(200)])
    once = relay(database, f"file:{tmp_path}/out", "--shards", "7", "--max-batches", "1", "--batch-size", "50")
    assert (once.code, once.json()["reason"], once.json()["rows"]) == (0, "max-batches", 50)
    fewer = relay(database, f"file:{tmp_path}/out", "--shards", "2")
    assert (fewer.code, fewer.json()["reason"], left(database)) == (0, "done", 0)
    assert len(delivered(tmp_path / "out")) == 200


def test_what_a_live_relay_holds_is_not_said_to_be_done(batchops: Batchops, database: Database, tmp_path: Path) -> None:
    made(database)
    saved(database, [event(n % 20, n) for n in range(40)])
    args = ("relay", "outbox", "--url", database.url, "--shards", "2")
    stays = batchops.start(*args, "--to", NOWHERE, "--poll", "100ms")
    until(lambda: sum(holders(database).values()) == 2, stays)
    shown = here("outbox", "show", "--url", database.url, "--json").json()
    assert [(one["pid"], one["shards"]) for one in shown["relays"]] == [(stays.pid, [0, 1])]
    second = relay(database, f"file:{tmp_path}/out", "--shards", "2")
    told = second.json()
    assert (second.code, told["reason"], told["exit"], told["left"]) == (11, "locked", 11, 40), second
    assert f"process {stays.pid} of " in told["error"]["message"]
    assert "since 2" in told["error"]["message"]
    plain = here(*args, "--to", f"file:{tmp_path}/out")
    words = plain.out + plain.err
    assert (plain.code, f"process {stays.pid} of " in words, "done" in words) == (11, True, False), plain
    stays.kill()
    stays.wait()
    after = relay(database, f"file:{tmp_path}/out", "--shards", "2")
    assert (after.code, after.json()["rows"], left(database)) == (0, 40, 0), after


def test_shards_that_others_hold_are_not_done_though_its_own_are(
    batchops: Batchops, database: Database, tmp_path: Path
) -> None:
    """It delivers what is its own, then says who has the rest."""
    made(database)
    saved(database, [event(n % 20, n) for n in range(40)])
    args = ("relay", "outbox", "--url", database.url, "--shards", "2", "--poll", "100ms", "--lease", "1s")
    stuck = [batchops.start(*args, "--to", NOWHERE) for _ in range(2)]
    until(lambda: sorted(holders(database).values()) == [1, 1], *stuck)
    stuck[0].send_signal(signal.SIGTERM)
    stuck[0].wait()
    stopped_for_an_hour(stuck[1], database)  # else it would take the free shard first
    held = holders(database).total()
    ended = relay(database, f"file:{tmp_path}/out", "--shards", "2")
    stuck[1].send_signal(signal.SIGCONT)
    told = ended.json()
    assert (ended.code, told["rows"] + told["left"]) == (11, 40), ended
    assert 0 < told["rows"] < 40 or (held, told["left"]) == (2, 40), "unless the other one had taken it by then"


def stopped_for_an_hour(process: "subprocess.Popen[str]", database: Database) -> None:
    """Stop it, not inside a write to a SQLite file, and let its lease outlast that."""
    while True:
        process.send_signal(signal.SIGSTOP)
        until(lambda: _stopped(process), process)  # until then it may still begin to write
        try:
            database.execute("UPDATE batchops_relay SET lease_until = lease_until + 3600")
        except sa.exc.OperationalError:  # it holds the file
            process.send_signal(signal.SIGCONT)
            time.sleep(0.05)
        else:
            return


def _stopped(process: "subprocess.Popen[str]") -> bool:
    threads = Path(f"/proc/{process.pid}/task").glob("*/stat")
    return all(one.read_text().rpartition(")")[2].split()[0] == "T" for one in threads)


def holders(database: Database) -> Counter[str]:
    """Shards by the relay that has them."""
    with suppress(Exception):  # the tables may not be there yet
        return Counter(database.column("SELECT relay FROM batchops_shard WHERE relay IS NOT NULL"))
    return Counter()


def until(state: Callable[[], bool], *processes: subprocess.Popen[str]) -> None:
    """Wait for a state, as long as the processes run."""
    while not state():
        for process in processes:
            assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)


def locks_a_file(pid: int) -> bool:
    """Whether a process that is being stopped holds one then: of the file that it writes to, or of SQLite's."""
    locks, state = Path("/proc/locks"), Path(f"/proc/{pid}/stat")
    while state.exists() and state.read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.001)
    return locks.exists() and re.search(rf"(FLOCK .* WRITE|POSIX .*) {pid} ", locks.read_text()) is not None


class Crowd:
    """Relays that come, end, are killed, and are stopped for longer than their lease."""

    def __init__(self, batchops: Batchops, database: Database, deeds: Sequence[str], *args: str) -> None:
        self._deeds = deeds
        self._batchops = batchops
        self._database = database
        self._args = ("relay", "outbox", "--url", database.url, "--shards", "5", "--poll", "100ms", "-q", *args)
        self._numbers = itertools.count()
        self._running: list[subprocess.Popen[str]] = [self._start() for _ in range(2)]
        self._stopped: list[subprocess.Popen[str]] = []
        self._over = threading.Event()
        self.happened: Counter[str] = Counter()

    @contextmanager
    def while_working(self, every: float) -> Iterator[None]:
        thread = threading.Thread(target=self._work, args=(every,))
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            for process in self._stopped:
                process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """SIGTERM to all: each ends well, or as one that another has taken over from."""
        for process in (*self._running, *self._stopped):
            process.send_signal(signal.SIGTERM)
        for process in (*self._running, *self._stopped):
            assert process.wait(60) in (0, 11, -signal.SIGTERM), process.communicate()[1]

    def _work(self, every: float) -> None:
        deeds = itertools.cycle(getattr(self, f"_{deed}") for deed in self._deeds)
        while not self._over.wait(every * (0.5 + random.random())):
            deed, before = next(deeds), sent(self._database)
            deed()
            self.happened[deed.__name__.strip("_")] += 1
            while sent(self._database) == before and not self._over.wait(0.1):
                pass  # however slow the machine, something is delivered between two deeds

    def _come(self) -> None:
        self._running.append(self._start())

    def _leave(self) -> None:
        process = self._running.pop(0)
        process.send_signal(signal.SIGTERM)
        self._stopped.append(process)

    def _kill(self) -> None:
        process = self._running.pop(0)
        process.kill()
        process.communicate()

    def _stop(self) -> None:
        """Wakes up the one stopped before, whose lease has ended by now."""
        for process in self._stopped:
            process.send_signal(signal.SIGCONT)
        process = self._running.pop(0)
        process.send_signal(signal.SIGSTOP)
        while locks_a_file(process.pid):  # the others would wait for it as long as it is stopped
            process.send_signal(signal.SIGCONT)
            time.sleep(0.01)
            process.send_signal(signal.SIGSTOP)
        self._stopped.append(process)
        self._come()

    def _start(self) -> subprocess.Popen[str]:
        return self._batchops.start(*self._args)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        pytest.param("postgresql", False, id="postgresql-quick"),
        *(pytest.param(name, True, id=f"{name}-full", marks=LONG) for name in FAMILIES),
    ],
)
def test_the_order_holds_while_relays_come_end_die_and_freeze(
    batchops: Batchops, new_database: NewDatabase, tmp_path: Path, name: str, full: bool
) -> None:
    database, plan = new_database(name), MANY if full else Writing(200, 40, delay=0.06)
    made(database)
    aggregates(database, plan.aggregates)
    deeds = ("stop", "come", "kill", "come", "leave")
    args = ("--to", f"file:{tmp_path}/out", "--lease", "1s", "--batch-size", "10")
    crowd = Crowd(batchops, database, deeds, *args)
    with crowd.while_working(2.0 if full else 0.3):
        write(database, plan)
        while not set(deeds) <= set(crowd.happened):  # few more: a slow machine has enough to send
            write(database, Writing(200, plan.aggregates, delay=0.06))
        until_sent(database)
    found = verdict(database, in_file(tmp_path / "out"))
    crowd.end()
    print(f"\n{database.backend}: {len(delivered(tmp_path / 'out')):,} messages, {dict(crowd.happened)}, {found}")
    assert found.good, found
