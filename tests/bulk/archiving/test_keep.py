"""`archive --keep` copies rows: none is deleted, and none is copied twice in a run."""

import signal
from pathlib import Path
from typing import Any

import pytest

import batchops as library
from tests.bulk.archiving.archived import rows_in
from tests.command import Batchops, here
from tests.conftest import NewDatabase
from tests.crash.scenario import MATCHING, ROWS, make
from tests.crash.test_kills import wait_for_progress
from tests.services.database import Database

pytestmark = pytest.mark.in_turn
WHERE = "kind < 4"
TABLE = "CREATE TABLE old (id integer PRIMARY KEY, kind integer NOT NULL, touched integer NOT NULL)"


@pytest.fixture
def filled(database: Database) -> Database:
    make(database)
    return database


def copy(database: Database, to: str, *more: str, code: int = 0, env: dict[str, str] | None = None) -> Any:
    arguments = ("--url", database.url, "--where", WHERE, "--to", to, "--keep", "-y", "--json", *more)
    done = here("archive", "t", *arguments, env=env)
    assert done.code == code, done
    assert database.scalar("SELECT count(*) FROM t") == ROWS
    return done.json()


def test_a_run_copies_each_row_once_and_the_next_one_again(filled: Database, tmp_path: Path) -> None:
    folder = f"{tmp_path}/"
    limited = copy(filled, folder, "--batch-size", "100", "--max-rows", "250")
    done = copy(filled, folder, "--batch-size", "100")
    assert (limited["rows"], done["rows"], done["run"], done["left"]) == (250, MATCHING, limited["run"], None)
    found = rows_in(tmp_path)
    assert (len(found), set(found.values())) == (MATCHING, {1})
    assert here("archive", "verify", tmp_path, "--against", filled.url).code == 0
    filled.execute("UPDATE t SET touched = 7 WHERE id = 7")
    again = copy(filled, folder, "--format", "csv")
    assert (again["rows"], again["run"] != done["run"], set(rows_in(tmp_path).values())) == (MATCHING, True, {2})
    against = here("archive", "verify", tmp_path, "--against", filled.url)
    assert (against.code, f"{2 * MATCHING - 1:,} copied rows in the table too, as they" in against.out) == (0, True)
    assert "1 copied row in the table too, with other content since" in against.out
    plan = here("restore", tmp_path, "--url", filled.url, "--into", "fresh", "-n")
    assert "--of-run N" in plan.out + plan.err
    restored = library.restore(destination=tmp_path, url=filled.url, into="fresh", of_run=again["run"])
    assert (restored.reason, filled.scalar("SELECT count(*) FROM fresh")) == ("done", MATCHING)


def test_copies_of_a_run_that_no_manifest_lists_are_not_called_double(filled: Database, tmp_path: Path) -> None:
    """As its files are while it is at work, or once it was killed."""
    copy(filled, f"{tmp_path}/", "--format", "jsonl")
    for manifest in (tmp_path / "manifests").iterdir():
        manifest.unlink()
    against = here("archive", "verify", tmp_path, "--against", filled.url)
    assert (against.code, f"{MATCHING:,} copied rows in the table too, as they" in against.out) == (0, True), against


def test_a_killed_run_goes_on_without_copying_a_row_again(filled: Database, tmp_path: Path, batchops: Batchops) -> None:
    arguments = ("archive", "t", "--url", filled.url, "--where", WHERE, "--to", f"{tmp_path}/a/", "--keep", "-y")
    process = batchops.start(*arguments, "--batch-size", "50", "--sleep", "20ms")
    wait_for_progress(process, filled)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert copy(filled, f"{tmp_path}/a/")["rows"] == MATCHING
    assert rows_in(tmp_path / "a") == dict.fromkeys([str(i) for i in range(1, ROWS + 1) if i % 7 < 4], 1)


@pytest.mark.parametrize("other", [False, True], ids=["the same database", "another database"])
def test_what_a_table_has_already_is_compared(filled: Database, new_database: NewDatabase, other: bool) -> None:
    target = new_database("sqlite") if other else filled
    to, env = ("env:OTHER_URL#old", {"OTHER_URL": target.url}) if other else ("old", None)
    target.script(TABLE)
    for _ in range(2):
        assert copy(filled, to, env=env)["rows"] == MATCHING
        assert target.rows("SELECT * FROM old ORDER BY id") == filled.rows(f"SELECT * FROM t WHERE {WHERE} ORDER BY id")
    target.execute("UPDATE old SET touched = 99 WHERE id IN (7, 700)")
    target.execute("DELETE FROM old WHERE id = 8")
    end = copy(filled, to, "--batch-size", "300", env=env, code=3)
    assert (end["rows"], end["rejected"]) == (MATCHING - 2, 2)
    assert target.column("SELECT id FROM old WHERE touched = 99 ORDER BY id") == [7, 700]
    assert target.scalar("SELECT count(*) FROM old") == MATCHING


def test_a_condition_may_read_the_table_itself_as_nothing_of_it_goes(filled: Database, tmp_path: Path) -> None:
    done = library.archive(
        table="t", url=filled.url, where="id IN (SELECT max(id) FROM t GROUP BY kind)", to=f"{tmp_path}/", keep=True
    )
    assert (done.reason, done.rows, done.participle) == ("done", 7, "copied")
