"""The demo's database."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from batchops.cli.demo_database import make_demo_database, what_to_try
from batchops.errors import UsageError


def test_half_of_the_rows_are_to_be_purged(tmp_path: Path) -> None:
    path = tmp_path / "demo.db"
    make_demo_database(path, rows=10_000)
    with closing(sqlite3.connect(path)) as database:
        rows, expired, old = database.execute(
            "SELECT count(*), sum(expired), sum(created_at < datetime('now', '-90 days')) FROM events"
        ).fetchone()
    assert (rows, expired) == (10_000, 5_000)
    assert old == pytest.approx(5_000, abs=5)
    assert [each.name for each in tmp_path.iterdir()] == ["demo.db"]
    assert f"sqlite:///{path}" in what_to_try(path)


def test_a_file_that_exists_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        make_demo_database(path, rows=10)
    assert path.read_text() == "mine"


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        make_demo_database(tmp_path / "missing" / "demo.db", rows=10)
