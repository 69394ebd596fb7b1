"""SQLite's signal: a reader keeps the WAL from being copied into the file."""

from pathlib import Path

import pytest

from tests.command import Batchops
from tests.services.database import Database
from tests.throttles.run import ThrottledRun

PURGE = ("purge", "t", "--where", "v = 1", "-y")
ROWS = 20_000


def filled(sqlite: Database, mode: str) -> None:
    sqlite.execute(f"PRAGMA journal_mode = {mode}")
    sqlite.execute("CREATE TABLE t (id integer PRIMARY KEY, v integer, note text)")
    sqlite.insert("t", ("id", "v", "note"), [(n, 1, "x" * 100) for n in range(ROWS)])


@pytest.mark.full
def test_a_wal_that_a_reader_keeps_holds_the_run_until_the_reader_ends(
    sqlite: Database, batchops: Batchops, tmp_path: Path
) -> None:
    filled(sqlite, "WAL")
    with sqlite.engine.connect() as reader:
        reader.exec_driver_sql("BEGIN")
        reader.exec_driver_sql("SELECT count(*) FROM t").scalar()
        run = ThrottledRun(
            batchops, tmp_path, *PURGE, "--url", sqlite.url, "--throttle", "wal-size=200kB", "--batch-size", 500,
            "--sleep", "200ms",
        )  # fmt: skip
        why = run.until_throttled()
        reader.rollback()
    assert why["reason"].startswith("wal-size: ")
    assert why["value"] > 200_000
    assert run.end()["rows"] == ROWS


def test_without_a_wal_there_is_nothing_to_measure(sqlite: Database, batchops: Batchops) -> None:
    filled(sqlite, "DELETE")
    ran = batchops(*PURGE, "--url", sqlite.url, "--throttle", "wal-size=200kB", "--json")
    assert ran.json()["rows"] == ROWS
    (plan, *_) = batchops(*PURGE, "--url", sqlite.url, "-n", "--json", "--throttle", "wal-size=1MB").json()["plan"][
        "throttles"
    ]
    assert (plan["value"], plan["of"]) == (None, None), "a reading may write, so a dry run takes none"
    wrong = batchops(*PURGE, "--url", sqlite.url, "--throttle", "wal-size=100")
    assert (wrong.code, "has no unit: write 100MB or 100GB" in wrong.err) == (2, True)
    wrong = batchops(*PURGE, "--url", sqlite.url, "--throttle", "replica-lag=1s")
    assert (wrong.code, "server: commit-latency, wal-size, free-disk" in wrong.err) == (12, True), wrong.err
