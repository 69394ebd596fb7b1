"""kill -9 of an archive with children: archive and database together are what there was, of every table."""

from pathlib import Path

import pytest

from tests.bulk.archiving.archived import spools_in
from tests.bulk.archiving.test_children import compared
from tests.bulk.children import shop
from tests.command import Batchops
from tests.crash.test_families import kill_often
from tests.figures import Figures
from tests.services.database import Database


def killed(batchops: Batchops, database: Database, folder: Path, kills: int, *more: str) -> int:
    """How many of so many kills met a run at work; then the command runs to its end, and the rows are back."""
    words = ("archive", "customers", "--where", shop.GONE, "--with-children", "--to", f"{folder}/", "--format", "jsonl")
    words = (*words, "--segment-size", "64KiB", "--url", database.url, "-y")
    before = shop.seen(database)
    met = kill_often(lambda: batchops.start(*words, "-q", "--sleep", "15ms", *more), database, kills)
    done = batchops(*words, "--json", *more)
    assert (done.code, done.json()["unsealed"], spools_in(folder)) == (0, 0, []), done
    compared(before, database, folder, "customers", shop.EDGES, lambda row: row["gone"] == 1)
    assert batchops("archive", "verify", folder).code == 0
    restored = batchops("restore", folder, "--url", database.url, "-y", "--json")
    assert restored.code == 0, restored
    assert shop.seen(database) == before
    return met


@pytest.mark.in_turn
def test_some_kills(batchops: Batchops, database: Database, tmp_path: Path) -> None:
    """One of the families is killed in its midst."""
    shop.make(database, customers=20)
    shop.add_items(database, order=2, count=1_000)
    assert killed(batchops, database, tmp_path, 3, "--batch-size", "30") >= 1


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("workers", ["1", "3"])
def test_many_kills(batchops: Batchops, database: Database, figures: Figures, tmp_path: Path, workers: str) -> None:
    met = 0
    for turn in range(3):
        for name in reversed(shop.TABLES):
            database.script(f"DROP TABLE IF EXISTS {name}")
        shop.make(database, customers=20)
        shop.add_items(database, order=2, count=1_500)
        met += killed(batchops, database, tmp_path / str(turn), 20, "--batch-size", "10", "--workers", workers)
    figures(kills=60, met_a_run_at_work=met)
    assert met >= 20
