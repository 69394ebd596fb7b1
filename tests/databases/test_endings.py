"""Every run, whatever happens to it: told to begin, told once how it ended, its lease let go of; and kept till then."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

import batchops as library
from batchops.db.database import connect
from batchops.db.urls import address
from batchops.events import SLEEP, Committed, Event, Finished, Started, Throttled, Warned
from batchops.ledger.ledger import Ledger
from batchops.runtime import heartbeat, lease
from batchops.runtime.heartbeat import Heartbeat
from batchops.runtime.lease import Lease, acquire
from batchops.runtime.stop import Stop
from batchops.runtime.threads import Threads
from tests.databases.numbered import Job, numbered
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

BREAKS = (ValueError, MemoryError, RecursionError, GeneratorExit, SystemExit, KeyboardInterrupt)
KINDS: tuple[type[Event], ...] = (Started, Committed, Finished)


def purged(database: Database, **options: Any) -> Job:
    numbered(database, 300)
    return Job(database, "purge", where="id > 0", batch_size=100, **options)


def worked(rows: Any, connection: Any) -> None:
    """A handler that shares the marking transaction, and has nothing to do."""


def lapses_at(database: Database) -> float:
    return float(database.scalar("SELECT lease_until FROM batchops_lease"))


def wait_until(state: Callable[[], bool]) -> None:
    pause = threading.Event()
    while not state():
        pause.wait(0.02)


def test_the_lease_is_renewed_while_the_loop_sleeps(database: Database) -> None:
    """On SQLite as well, where the heartbeat writes to the one file that batches are written to."""
    job, renewals = purged(database, sleep="20ms", lease="1s"), []

    def hear(event: Event) -> None:
        if isinstance(event, Throttled) and event.reason == SLEEP and not renewals:
            # No batch is in hand, for as long as this takes.
            for _ in range(3):
                before = lapses_at(database)
                wait_until(lambda before=before: lapses_at(database) > before)
                renewals.append(before)

    assert (job(hear=hear).reason, len(renewals)) == ("done", 3)


@pytest.mark.full
def test_a_second_copy_waits_as_long_as_the_first_one_sleeps(sqlite: Database) -> None:
    job, seen = purged(sqlite, sleep="4s", lease="1s"), []

    def hear(event: Event) -> None:
        if isinstance(event, Committed):
            threading.Thread(target=second, daemon=True).start()

    def second() -> None:
        threading.Event().wait(2.5)
        try:
            seen.append(library.purge(url=sqlite.url, table="t", where="id > 0").reason)
        except library.BatchopsError as error:
            seen.append(error.reason)

    assert job(hear=hear).reason == "done"
    assert set(seen) == {"locked"}


def test_a_batch_renews_the_lease_where_there_is_one_writer(sqlite: Database) -> None:
    """Between batches that follow each other closely a thread might find no moment to write."""
    database, now = connect(address(sqlite.url, {})), [0.0]
    ledger = Ledger(database, None, inside=True)
    ledger.make()
    with database.transaction() as connection:
        held = acquire(connection, ledger, "job", 10.0)
    monitor = Heartbeat(ledger, held, Stop(), Threads(print, print), lambda: now[0])
    taken = lapses_at(sqlite)
    with database.transaction() as connection:
        monitor.renew_with_batch(connection)
    assert lapses_at(sqlite) == taken  # not due yet
    now[0] = 4.0
    with database.transaction() as connection:
        monitor.renew_with_batch(connection)
        monitor.renew()  # not due any more: it would wait for this very transaction
    assert lapses_at(sqlite) > taken
    database.close()


def test_a_heartbeat_survives_what_nobody_has_thought_of(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    job, fell, renewed = purged(database, sleep="20ms", lease="1s"), threading.Event(), threading.Event()
    renew = lease.renew

    def fall(ledger: Ledger, held: Lease) -> bool:
        if not fell.is_set():
            fell.set()
            raise AttributeError("'NoneType' object has no attribute 'settimeout'")
        renewed.set()
        return renew(ledger, held)

    monkeypatch.setattr(heartbeat, "renew", fall)

    def hear(event: Event) -> None:
        if isinstance(event, Throttled):
            renewed.wait()

    assert job(hear=hear).reason == "done"
    (warning,) = [event for event in job.events if isinstance(event, Warned)]
    assert "heartbeat" in warning.message


@pytest.mark.wide(2)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("error", BREAKS, ids=lambda error: error.__name__)
def test_a_listener_that_raises_leaves_nothing_behind(
    sqlite: Database, error: type[BaseException], kind: type[Event]
) -> None:
    leaves_nothing_behind(sqlite, error, kind)


@pytest.mark.wide(2)
@pytest.mark.parametrize("verb", ["purge", "backfill", "drain"])
def test_a_listener_that_raises_in_any_verb(database: Database, verb: str) -> None:
    leaves_nothing_behind(database, ValueError, Committed, verb)


def leaves_nothing_behind(
    database: Database, error: type[BaseException], kind: type[Event], verb: str = "purge"
) -> None:
    numbered(database, 300, n=("integer", "0"))
    heard: list[Event] = []
    calls: dict[str, Callable[..., Finished]] = {
        "purge": lambda **more: library.purge(where="id > 0", **more),
        "backfill": lambda **more: library.backfill(where="id > 0", set=["n = n + 1"], **more),
        "drain": lambda **more: library.drain(where="n = 0", done=["n = 1"], handler=worked, lease_in="none", **more),
    }

    def hear(event: Event) -> None:
        heard.append(event)
        if isinstance(event, kind):
            raise error

    with pytest.raises(error):
        calls[verb](url=database.url, table="t", batch_size=100, on_event=hear)
    assert [type(event) for event in heard].count(Started) == 1
    assert [type(event) for event in heard].count(Finished) == 1
    assert isinstance(heard[-1], Finished)
    told = heard[-1].rows
    left = database.scalar("SELECT count(*) FROM t" + ("" if verb == "purge" else " WHERE n = 0"))
    assert 300 - left == told == (0 if kind is Started else 100 if kind is Committed else 300)
    if verb != "drain":
        assert database.scalar("SELECT count(*) FROM batchops_lease") == 0
        state = database.scalar("SELECT state FROM batchops_run")
        signal = error is KeyboardInterrupt
        assert state == ("done" if kind is Finished else "signal" if signal else "failed")
    rest = calls[verb](url=database.url, table="t")
    assert rest.reason == "done"
    assert database.scalar("SELECT count(*) FROM t" + ("" if verb == "purge" else " WHERE n <> 1")) == 0


def test_an_error_between_the_beginning_and_the_loop(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    job = purged(database)

    def fall(*_: object) -> None:
        raise OSError("no thread more")

    monkeypatch.setattr(Heartbeat, "renewing", fall)
    with pytest.raises(OSError, match="no thread more"):
        job()
    assert [type(event) for event in job.events] == [Started, Finished]
    assert database.scalar("SELECT count(*) FROM batchops_lease") == 0
    assert database.scalar("SELECT state FROM batchops_run") == "failed"
    monkeypatch.undo()
    assert (job().reason, job.events[-1]) == ("done", job.events[-1])


def test_a_backfill_that_is_done_already_says_so_as_an_event(database: Database) -> None:
    numbered(database, 10, n=("integer", "0"))
    job = Job(database, "backfill", where="id > 0", set=["n = n + 1"])
    assert job().rows == 10
    again = job()
    assert job.events == [again]
    assert again.rows == 0


def test_one_stop_for_several_runs_is_not_asked_by_one_that_fails(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, stop = purged(database), Stop()
    advance = Ledger.advance

    def fall(*_: object) -> None:
        raise library.RefusedError("not now", "later")

    monkeypatch.setattr(Ledger, "advance", fall)
    assert job(stop=stop).reason == "refused"
    monkeypatch.setattr(Ledger, "advance", advance)
    assert not stop.asked
    assert job(stop=stop).reason == "done"
    stop.ask("stopped")
    numbered_again = Job(database, "purge", where="id < 0")
    assert numbered_again(stop=stop).reason == "stopped"
