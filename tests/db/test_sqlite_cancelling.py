"""A cancellation of a SQLite connection counts whenever it comes in the connection's use, and not in the next one."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from batchops.db.database import Database, connect
from batchops.db.sessions import Timeouts
from batchops.db.urls import address
from batchops.errors import TransientError

LONG = 20.0


def cancel_and_begin(database: Database) -> None:
    with database.idle() as connection:
        database.cancel()
        database.backend.sessions.begin(connection)


def test_a_cancellation_just_before_begin_ends_the_wait_for_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with (
        closing(sqlite3.connect(file, isolation_level=None)) as other,
        closing(connect(address(f"sqlite:///{file}", {}), Timeouts(lock=LONG))) as database,
    ):
        other.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        with pytest.raises(TransientError, match="locked"):
            cancel_and_begin(database)
        assert time.monotonic() - begun < LONG / 2


def test_the_next_use_of_the_connection_waits_again(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with (
        closing(sqlite3.connect(file, isolation_level=None)) as other,
        closing(connect(address(f"sqlite:///{file}", {}), Timeouts(lock=0.6))) as database,
    ):
        with database.transaction():
            database.cancel()
        other.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        with pytest.raises(TransientError, match="locked"), database.transaction():
            pass
        assert time.monotonic() - begun >= 0.5
