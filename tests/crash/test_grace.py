"""The grace period where a destination or a function does not come back: for a relay, a recipe, the library."""

import signal
import socket
import threading
from pathlib import Path

import pytest

import batchops as library
from batchops.runtime.stop import Stop
from tests.command import Batchops
from tests.outbox.boxes import event, made, saved
from tests.queue.jobs import DONE, PENDING, jobs, leased
from tests.services.database import Database
from tests.waiting import HANG, ended, signalled, until


@pytest.mark.wide(1)
@pytest.mark.parametrize("poll", [(), ("--poll", "100ms")], ids=["once", "staying"])
def test_a_relay_whose_destination_hangs_is_cut(batchops: Batchops, sqlite: Database, poll: tuple[str, ...]) -> None:
    """Nothing is marked as sent that was not acknowledged; the exit code tells of the cut."""
    made(sqlite)
    saved(sqlite, [event("a", n) for n in range(3)])
    with socket.create_server(("127.0.0.1", 0)) as silent:
        to = f"http://127.0.0.1:{silent.getsockname()[1]}/in"
        words = ("relay", "outbox", "--url", sqlite.url, "--to", to, "--grace", "300ms", "--json", *poll)
        process = batchops.start(*words)
        silent.settimeout(HANG)
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(10)
            signalled(process, signal.SIGTERM)
            code, out, err = ended(process)
    assert (code, '"reason": "signal"' in out) == (143, True), (out, err)
    assert sqlite.scalar("SELECT count(*) FROM outbox WHERE sent_at IS NULL") == 3


def test_a_stop_of_the_library_is_bounded_too(sqlite: Database) -> None:
    jobs(sqlite, 1)
    leased(sqlite)
    stop, at_work, over = Stop(), threading.Event(), threading.Event()

    def handler(rows: list[object]) -> None:
        assert rows
        at_work.set()
        over.wait(HANG)

    ends: list[object] = []
    options = {"table": "jobs", "url": sqlite.url, "where": PENDING, "done": [DONE], "grace": "200ms"}
    run = threading.Thread(target=lambda: ends.append(library.drain(handler=handler, stop=stop, **options)))
    run.start()
    assert at_work.wait(HANG)
    stop.ask("stopped")
    run.join(HANG)
    over.set()
    (end,) = ends
    assert getattr(end, "reason", None) == "stopped"
    assert stop.cut
    assert sqlite.rows("SELECT status, lease IS NULL FROM jobs") == [("pending", 0)]


def test_a_recipe_sets_the_grace_period_of_its_job(batchops: Batchops, sqlite: Database, tmp_path: Path) -> None:
    jobs(sqlite, 1)
    leased(sqlite)
    began = tmp_path / "began"
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        f'[job.slow]\nverb = "drain"\ntable = "jobs"\nurl = "{sqlite.url}"\nwhere = "{PENDING}"\ndone = "{DONE}"\n'
        f'exec = "sh -c \'trap : TERM; echo x > {began}; while :; do sleep 0.1; done\'"\ngrace = "300ms"\n'
    )
    process = batchops.start("run", recipe, "-y")
    until(began.exists, process)
    signalled(process, signal.SIGTERM)
    code, out, err = ended(process)
    assert code == 143, (out, err)
    assert sqlite.rows("SELECT status, lease IS NULL, attempts FROM jobs") == [("pending", 1, 0)]
