"""Schedules whose database falls, and whose database's clock is set anew."""

import contextlib
import importlib.util
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest

from batchops.spec.times import Every
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.scheduler.scene import PURGE, ev, more, recipe, states, told
from tests.scheduler.test_schedule import stop
from tests.services import postgres
from tests.services.database import Database
from tests.services.private import Private
from tests.services.server import Missing, UnavailableError
from tests.waiting import until

Without = Callable[[Missing], NoReturn]
HOUR, DAY = 3600, 86_400


@pytest.mark.full
@pytest.mark.parametrize("family", ["postgresql", "mariadb"])
def test_the_database_falls_and_comes_back(
    batchops: Batchops, family: str, new_database: NewDatabase, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """What was due meanwhile has its rows, one of them run; a job that is not there is no worse than before."""
    private: Private = request.getfixturevalue(f"private_{family}")
    database = new_database(family, at=private.server)
    ev(database, 20)
    process = batchops.start("schedule", recipe(tmp_path / "r.toml", database, quick=f'{PURGE}\nevery = "1s"'))
    until(lambda: states(database)["ran"], process)
    private.stop()
    time.sleep(3)
    assert process.poll() is None, process.communicate()
    private.start()
    more(database, 20)
    before = states(database)["ran"]
    until(lambda: states(database)["ran"] > before + 1, process)
    code, _, err = stop(process)
    assert code == 0, err
    assert "Traceback" not in err
    assert 1 <= err.count("is reached again") <= 3  # a server that starts may answer and fall silent again
    assert err.count("Connection refused") + err.count("Can't connect") < 4  # the same trouble is told once
    found = told(database, {"quick": Every(1)})["quick"]
    assert found.wrong == (), err
    assert found.states["coalesced"] >= 1
    assert database.scalar("SELECT count(*) FROM ev") == 0


def preloaded(clock: Path) -> dict[str, str]:
    """The environment in which a process takes its time of day, and nothing else, from that file."""
    found = importlib.util.find_spec("libfaketime")
    libraries = [Path(found.origin).parent.rglob("libfaketime.so.1")] if found and found.origin else []
    library = next((path for paths in libraries for path in paths), None)
    if library is None:
        pytest.skip("libfaketime is not there: pip install libfaketime")
    set_ahead(clock, 0)
    return {
        "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip


def set_ahead(clock: Path, seconds: int) -> None:
    """From now on it is that much later than it is."""
    new = clock.with_suffix(".new")
    new.write_text(f"{seconds:+d}\n")
    new.chmod(0o644)
    new.replace(clock)


def follows(database: Database, process: "subprocess.Popen[str]", clock: Path) -> None:
    """An hour ahead, a day ahead, and back: each time it goes on within what one look and one interval take."""
    for ahead in (0, HOUR, DAY, 0):
        set_ahead(clock, ahead)
        near = f"SELECT 1 FROM batchops_fire WHERE state = 'ran' AND fire_at > {time.time() + ahead}"
        near += f" AND fire_at < {time.time() + ahead + 60}"
        until(partial(fired, database, near), process)
    code, _, err = stop(process)
    assert code == 0, err
    assert "clock was set back" in err
    assert "Traceback" not in err
    assert database.scalar(f"SELECT count(*) FROM batchops_fire WHERE fire_at > {time.time() + 90}") == 0


def fired(database: Database, query: str) -> bool:
    return bool(states(database)) and bool(database.scalar(query))


@pytest.mark.full
def test_the_clock_is_set_anew(batchops: Batchops, sqlite: Database, tmp_path: Path) -> None:
    """SQLite's clock is the process's own."""
    ev(sqlite, 10)
    clock = tmp_path / "clock"
    file = recipe(tmp_path / "r.toml", sqlite, quick=f'{PURGE}\nevery = "3s"')
    follows(sqlite, batchops.start("schedule", file, env=preloaded(clock)), clock)


@pytest.fixture
def jumpy(without: Without, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Private, Path]]:
    """A server that takes its time of day from a file."""
    clock = Path(tempfile.mkdtemp(dir="/tmp")) / "clock"
    clock.parent.chmod(0o755)  # the server runs as another user
    try:
        with monkeypatch.context() as patch:
            for name, value in preloaded(clock).items():
                patch.setenv(name, value)
            private = postgres.private()
            private.start()
        with contextlib.ExitStack() as stack:
            stack.callback(private.remove)
            yield private, clock
    except UnavailableError as error:
        without(Missing(postgres.NAME, str(error)))
    finally:
        shutil.rmtree(clock.parent)


@pytest.mark.full
def test_the_servers_clock_is_set_anew(
    batchops: Batchops, jumpy: tuple[Private, Path], new_database: NewDatabase, tmp_path: Path
) -> None:
    """A real server whose time of day jumps, under a scheduler whose own does not."""
    private, clock = jumpy
    database = new_database("postgresql", at=private.server)
    ev(database, 10)
    file = recipe(tmp_path / "r.toml", database, quick=f'{PURGE}\nevery = "3s"')
    follows(database, batchops.start("schedule", file), clock)
