"""kill -9 of a purge with children: never an orphan, and the same command ends where the rules end."""

import random
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.bulk.children import shop
from tests.command import Batchops
from tests.crash.test_kills import unfinished, wait_for_progress
from tests.figures import Figures
from tests.services.database import Database

LEDGER = ("batchops_run", "batchops_worker", "batchops_lease")


def kill_often(start: Callable[[], "subprocess.Popen[str]"], database: Database, kills: int) -> int:
    """Each process after its first batch; how many of the kills met a run at work. No row has lost its parent."""
    chance, met = random.Random(4711), 0
    for _ in range(kills):
        process = start()
        wait_for_progress(process, database)
        time.sleep(chance.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        met += unfinished(database)
        assert not shop.lost(database)
    return met


def killed(batchops: Batchops, database: Database, kills: int, size: int) -> int:
    """How many of so many kills met a run at work; then the command runs to its end."""
    words = ("purge", "customers", "--where", shop.GONE, "--with-children", "--url", database.url, "-y", "-q")
    before = shop.seen(database)
    met = kill_often(lambda: batchops.start(*words, "--batch-size", str(size), "--sleep", "15ms"), database, kills)
    done = batchops(*words, "--json")
    assert done.code == 0, done
    assert shop.seen(database) == shop.wanted(before)
    return met


@pytest.mark.in_turn
def test_some_kills(batchops: Batchops, database: Database) -> None:
    """One of the families is killed in its midst."""
    shop.make(database, customers=20)
    shop.add_items(database, order=2, count=1_000)
    assert killed(batchops, database, 3, 30) >= 1


@pytest.mark.full
@pytest.mark.timeout(900)
def test_a_hundred_kills(batchops: Batchops, database: Database, figures: Figures) -> None:
    kills = met = 0
    while kills < 100:
        for name in (*LEDGER, *reversed(shop.TABLES)):
            database.script(f"DROP TABLE IF EXISTS {name}")
        shop.make(database, customers=20)
        shop.add_items(database, order=2, count=1_500)
        met += killed(batchops, database, 20, 10)
        kills += 20
    figures(kills=kills, met_a_run_at_work=met)
    assert met >= 50
