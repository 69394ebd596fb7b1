"""A drain that a throttle holds: no row is claimed meanwhile, and nothing is watched without a flag."""

from pathlib import Path

from tests.command import Batchops
from tests.services.database import Database
from tests.throttles.run import ThrottledRun

DRAIN = ("drain", "jobs", "--where", "status = 'pending'", "--set", "total = 1", "--done", "status = 'done'")
ROWS = 50


def filled(database: Database) -> Database:
    database.execute("CREATE TABLE jobs (id integer PRIMARY KEY, status varchar(10), total integer)")
    database.insert("jobs", ("id", "status"), [(n, "pending") for n in range(ROWS)])
    return database


def test_a_file_holds_it_until_it_is_gone(database: Database, batchops: Batchops, tmp_path: Path) -> None:
    filled(database)
    hold = tmp_path / "hold"
    hold.touch()
    run = ThrottledRun(batchops, tmp_path, *DRAIN, "--url", database.url, "--throttle-file", hold, "--workers", 2)
    assert run.until_throttled()["reason"] == f"file: {hold} exists"
    assert database.column("SELECT DISTINCT status FROM jobs") == ["pending"]
    hold.unlink()
    end = run.end()
    assert (end["rows"], end["throttled_by"][0]["throttle"]) == (ROWS, "file")


def test_nothing_is_watched_unless_a_flag_names_it(postgresql: Database, batchops: Batchops) -> None:
    filled(postgresql)
    assert "throttles" not in batchops(*DRAIN, "--url", postgresql.url, "-n", "--json").json()["plan"]
    named = batchops(*DRAIN, "--url", postgresql.url, "-n", "--throttle", "active-sessions=1000").out
    assert "\n  throttles active-sessions: " in named
    held = batchops(
        *DRAIN, "--url", postgresql.url, "--throttle-query", "SELECT 'no'", "--throttle-timeout", "1s", "--json"
    )
    assert (held.code, held.json()["claimed"], "query: no" in held.json()["error"]["message"]) == (75, 0, True)
