"""What wakes a process that rests, and what it says where nothing does."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.command import Batchops
from tests.outbox.boxes import event, left, made, saved
from tests.queue.jobs import DRAIN, jobs, leased, states
from tests.services import pgbouncer
from tests.services.database import Database
from tests.services.proxy import Proxy
from tests.services.server import Missing, UnavailableError
from tests.waiting import until

Without = Callable[[Missing], NoReturn]


@contextmanager
def pooled(database: Database, mode: str, without: Without) -> Iterator[str]:
    """The database's URL through PgBouncer."""
    try:
        pooler = pgbouncer.private(database.url, mode)
        pooler.start()
    except UnavailableError as error:
        without(Missing(pgbouncer.NAME, str(error)))
    try:
        yield pooler.url
    finally:
        pooler.remove()


def warned(events: Path) -> list[str]:
    """What was warned of so far."""
    lines = events.read_text().splitlines() if events.exists() else []
    return [one["message"] for one in map(json.loads, lines) if one["event"] == "warned"]


def rests(events: Path) -> list[float]:
    lines = events.read_text().splitlines() if events.exists() else []
    return [float(one["seconds"]) for one in map(json.loads, lines) if one["event"] == "throttled"]


def resting(batchops: Batchops, events: Path, *args: str, env: Any = None) -> subprocess.Popen[str]:
    """One that stays up, with rests so long that only a notification can end them in time."""
    return batchops.start(*args, "--poll", "1h", "--listen", "came", "--events", str(events), env=env)


def ended(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


@pytest.mark.full
def test_a_pooler_that_passes_no_notification_on_is_said_to(
    batchops: Batchops, postgresql: Database, tmp_path: Path, without: Without
) -> None:
    jobs(postgresql, 1)
    leased(postgresql)
    made(postgresql)
    to = f"file:{tmp_path / 'out'}"
    with pooled(postgresql, "transaction", without) as url:
        for name, args in {
            "drain": ("drain", "jobs", "--url", url, *DRAIN, "--set", "n = n + 1"),
            "relay": ("relay", "outbox", "--url", url, "--to", to),
        }.items():
            events = tmp_path / name
            process = resting(batchops, events, *args)
            until(lambda events=events: bool(warned(events)), process)  # type: ignore[misc]
            assert "only --poll wakes" in warned(events)[0]
            assert "PgBouncer" in warned(events)[0]
            ended(process)


@pytest.mark.full
def test_a_pooler_in_session_mode_wakes(
    batchops: Batchops, postgresql: Database, tmp_path: Path, without: Without
) -> None:
    jobs(postgresql, 1)
    leased(postgresql)
    events = tmp_path / "events"
    with pooled(postgresql, "session", without) as url:
        process = resting(batchops, events, "drain", "jobs", "--url", url, *DRAIN, "--set", "n = n + 1")
        until(lambda: max(rests(events), default=0) > 5, process)
        postgresql.execute("INSERT INTO jobs (id, status, n) VALUES (100, 'pending', 0)")
        postgresql.execute("NOTIFY came")
        until(lambda: "pending" not in states(postgresql), process)
        assert warned(events) == []
        ended(process)


@pytest.mark.full
def test_one_whose_connection_was_cut_listens_again(batchops: Batchops, postgresql: Database, tmp_path: Path) -> None:
    made(postgresql)
    events = tmp_path / "events"
    with Proxy(postgresql.url) as wire:
        to = ("--to", f"file:{tmp_path / 'out'}", "--lease", "1h")  # a heartbeat ends a rest, too
        process = resting(batchops, events, "relay", "outbox", "--url", wire.url, *to)
        until(lambda: max(rests(events), default=0) > 1, process)
        wire.sever()
        until(lambda: "notifications arrive again" in " ".join(warned(events)), process)
        assert "only --poll wakes" in warned(events)[0]
        until(lambda: max(rests(events)) > 5, process)
        saved(postgresql, [event("o", 1)])
        postgresql.execute("NOTIFY came")
        until(lambda: not left(postgresql), process)
        ended(process)
