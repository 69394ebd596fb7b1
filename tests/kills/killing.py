"""An archive that is killed again and again over its whole way, then runs to its end."""

import math
import random
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from tests.command import Batchops
from tests.crash.scenario import locked
from tests.crash.test_kills import unfinished
from tests.figures import Figures
from tests.kills.places import Place
from tests.kills.rows import WHERE, compared, lines, make
from tests.services.database import Database
from tests.waiting import Process, until

BATCH = 200


@dataclass(frozen=True)
class Size:
    """How many rows the table has, how often the archive is killed, and after how many kills all rows are compared."""

    rows: int
    kills: int
    every: int


LARGE = Size(200_000, 60, 12)
MILLION = Size(1_000_000, 200, 40)
_WAYS = ("parquet", "jsonl", "csv", "s3-parquet", "s3-jsonl", "s3-csv", "same")
_WORKERS = {"postgresql": ("1", "3"), "mariadb": ("1", "3"), "sqlite": ("1",)}
"""SQLite always has one."""
CASES = [(name, some, way) for name, workers in _WORKERS.items() for some in workers for way in _WAYS]
"""Database, workers, destination."""
_OTHERS = (("postgresql", "sqlite"), ("sqlite", "mariadb"), ("mariadb", "postgresql"), ("postgresql", "postgresql"))
OTHERS = [(*both, some) for both in _OTHERS for some in _WORKERS[both[0]]]
"""From one database to another, by so many workers."""


def archived_under_kills(
    batchops: Batchops, database: Database, place: Place, workers: str, size: Size, figures: Figures
) -> None:  # fmt: skip
    """Fail if a row is lost, changed, or in both where it should not be, after a kill or at the end."""
    started = time.monotonic()
    make(database, size.rows)
    command = ("archive", "t", "--where", WHERE, "--url", database.url, "-y", *place.words, "--workers", workers)
    command = (*command, "--batch-size", str(BATCH))
    met, most_double = 0, 0

    def check(kill: int) -> None:
        nonlocal most_double
        if kill % size.every == 0:
            settled(database)
            found = compared(size.rows, lines(database, "t"), place.seen(database))
            assert (found.lost, found.changed, found.twice) == (0, 0, 0), (kill, found)
            assert place.told(found, batchops, database, BATCH * int(workers)), (kill, found)
            most_double = max(most_double, found.double)

    made = time.monotonic()
    met = killed(lambda: started_by(batchops, command, place.env), database, size.rows * 6 // 7, size.kills, check)
    done = batchops(*command, "--json", env=place.env)
    assert (done.code, done.json()["unsealed"] or 0) == (0, 0), done
    found = compared(size.rows, lines(database, "t"), place.lines(database))
    assert (found.lost, found.changed, found.twice, found.double, found.left) == (0, 0, 0, 0, 0), found
    place.proven(batchops, database)
    figures(
        rows=size.rows, kills=size.kills, met_a_run_at_work=met, most_in_both=most_double,
        killing=time.monotonic() - made, seconds=time.monotonic() - started,
    )  # fmt: skip
    assert met >= size.kills // 2


def started_by(batchops: Batchops, command: tuple[str, ...], env: Mapping[str, str]) -> Process:
    """The command, so slow that a kill meets it."""
    return batchops.start(*command, "-q", "--sleep", "5ms", env=env)


def killed(
    start: Callable[[], Process], database: Database, matching: int, kills: int, check: Callable[[int], None]
) -> int:  # fmt: skip
    """How many kills met a run at work. Each comes once its process has had its share of the rows, or before."""
    chance, met = random.Random(4714), 0
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watching:
        for kill in range(1, kills + 1):
            before = changed(watching)
            goal = before + int((matching - before) / (kills - kill + 1) * chance.uniform(0, 1.8))
            # Some kills come while it starts. This is the kill's moment, no wait for a state.
            latest = time.monotonic() + (chance.uniform(0, 1) if kill % 3 == 0 else math.inf)
            process = start()
            while process.poll() is None and changed(watching) <= goal and time.monotonic() < latest:
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.04))
            process.send_signal(signal.SIGKILL)
            code = process.wait()
            assert code in (0, -signal.SIGKILL), (code, process.communicate())
            met += unfinished(database)
            check(kill)
    return met


def settled(database: Database) -> None:
    """Wait until the server is through with the transaction of a process that was killed; SQLite has no server."""
    until(lambda: database.backend == "sqlite" or not locked(database))


def changed(watching: sa.Connection) -> int:
    """Rows of all batches so far."""
    try:
        return int(watching.execute(sa.text("SELECT sum(rows_changed) FROM batchops_worker")).scalar() or 0)
    except sa.exc.DBAPIError as error:  # the ledger is not there yet
        assert "batchops" in str(error)
        return 0
