"""kill -9 while rows are archived: archive and table together are the rows that there were, none lost, none twice."""

import random
import signal
import time
from pathlib import Path

import pytest

from tests.bulk.archiving.archived import rows_in, spools_in
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.crash.scenario import MATCHING, ROWS, make
from tests.crash.test_kills import unfinished, wait_for_progress
from tests.services.database import Database

WHERE = "kind < 4"


def arguments(database: Database, folder: Path, *more: str) -> tuple[str, ...]:
    """The command line, without a question."""
    size = ("--batch-size", "20", "--segment-size", "64KiB")
    return ("archive", "t", "--where", WHERE, "--to", f"{folder}/", "--url", database.url, "-y", *size, *more)


def wrong(database: Database, folder: Path) -> str | None:
    """What is wrong with table and archive together; None for nothing."""
    archived = rows_in(folder)
    there = {str(row) for row in database.column("SELECT id FROM t")}
    every = {str(i) for i in range(1, ROWS + 1)}
    twice = [row for row, times in archived.items() if times > 1] + sorted(there & set(archived))
    lost = sorted(every - there - set(archived))
    return f"{len(lost)} lost, {len(twice)} twice" if lost or twice else None


def killed(batchops: Batchops, database: Database, folder: Path, kills: int, more: tuple[str, ...]) -> int:
    """How many kills met a run at work; then the command runs to its end."""
    chance, at_work = random.Random(4712), 0
    for turn in range(kills):
        process = batchops.start(*arguments(database, folder, "-q", "--sleep", "10ms", *more))
        if turn % 4:
            wait_for_progress(process, database)
        time.sleep(chance.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        at_work += unfinished(database)
    done = batchops(*arguments(database, folder, "--json", *more))
    assert done.code == 0, done
    assert done.json()["unsealed"] == 0
    assert not (folder / "staging").exists()
    return at_work


@pytest.fixture
def filled(request: pytest.FixtureRequest, new_database: NewDatabase) -> Database:
    database = new_database(request.param)
    make(database)
    text = "char(200)" if database.backend == "mysql" else "text"
    database.execute(f"ALTER TABLE t ADD COLUMN words {text} DEFAULT '{'x' * 150}'")
    return database


@pytest.mark.parametrize("filled", ["postgresql", "mariadb", "sqlite"], indirect=True)
@pytest.mark.in_turn
def test_some_kills(batchops: Batchops, filled: Database, tmp_path: Path) -> None:
    at_work = killed(batchops, filled, tmp_path, 3, ("--workers", "3"))
    assert at_work >= 1
    assert wrong(filled, tmp_path) is None
    assert not spools_in(tmp_path)
    assert sum(rows_in(tmp_path).values()) == MATCHING
    assert batchops("archive", "verify", tmp_path).code == 0


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("filled", ["postgresql", "mariadb", "sqlite"], indirect=True)
@pytest.mark.parametrize("workers", ["1", "3"])
def test_many_kills(batchops: Batchops, filled: Database, tmp_path: Path, workers: str) -> None:
    killed(batchops, filled, tmp_path, 60, ("--workers", workers))
    assert wrong(filled, tmp_path) is None
    assert batchops("archive", "verify", tmp_path).code == 0


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("filled", ["postgresql", "mariadb", "sqlite"], indirect=True)
def test_kills_while_rows_go_to_another_table(batchops: Batchops, filled: Database) -> None:
    words = "char(200)" if filled.backend == "mysql" else "text"
    columns = f"id integer PRIMARY KEY, kind integer NOT NULL, touched integer NOT NULL, words {words}"
    filled.script(f"CREATE TABLE old ({columns})")
    command = ("archive", "t", "--where", WHERE, "--to", "old", "--url", filled.url, "-y", "--batch-size", "20")
    for _ in range(20):
        process = batchops.start(*command, "-q", "--sleep", "10ms")
        wait_for_progress(process, filled)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert batchops(*command).code == 0
    assert filled.column("SELECT id FROM t UNION ALL SELECT id FROM old ORDER BY id") == [*range(1, ROWS + 1)]
    assert filled.scalar("SELECT count(*) FROM old") == MATCHING
