"""What a drain does with rows that go well, fail, wait, and are given up on, on every database."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import batchops as library
from tests.command import Batchops
from tests.queue import functions
from tests.queue.jobs import DRAIN, PENDING, drain, here, jobs, leased, states
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

CALL = "tests.queue.functions:{}"
PLACES = pytest.mark.parametrize("place", ["columns", "table"])


def prepared(database: Database, place: str, rows: int = 200) -> None:
    jobs(database, rows)
    leased(database, place)


@pytest.mark.wide(1)
@PLACES
def test_all_rows_done_by_several_workers(database: Database, place: str) -> None:
    prepared(database, place, 2_000)
    result = drain(database, "--set", "n = n + 1", "--workers", "3", "--batch-size", "100")
    assert result.code == 0, result.err
    document = result.json()
    assert (document["reason"], document["rows"], document["claimed"]) == ("done", 2_000, 2_000)
    assert (document["backlog"], document["waiting"], document["leased"], document["left"]) == (0, 0, 0, 0)
    assert database.rows("SELECT status, min(n), max(n), count(*) FROM jobs GROUP BY status") == [("done", 1, 1, 2_000)]


@pytest.mark.wide(2)
@PLACES
@pytest.mark.parametrize("handler", ["some_fail", "raises_at_tens"])
def test_failed_rows_wait_and_are_given_up_on_with_their_reason(database: Database, place: str, handler: str) -> None:
    prepared(database, place)
    args = ("--call", CALL.format(handler), "--max-attempts", "2", "--failed", "status = 'failed'")
    first = drain(database, *args, "--backoff", "1h").json()
    assert (first["reason"], first["exit"], first["rows"]) == ("done", 0, 180)
    assert (first["waiting"], first["failed"]) == (20, 20)
    assert states(database) == {"done": 180, "pending": 20}
    due(database, place)
    result = drain(database, *args)
    second = result.json()
    assert (result.code, second["reason"], second["rows"]) == (3, "incomplete", 0)
    assert (second["dead_letters"], second["rejected"], second["waiting"]) == (20, 20, 0)
    assert states(database) == {"done": 180, "failed": 20}
    shown = show(database)
    assert (shown["backlog"], shown["dead_letters"], len(shown["failed"])) == (0, 20, 20)
    reason = "job 7 is odd" if handler == "some_fail" else "ValueError: cannot do 7"
    assert reason in {failed["reason"] for failed in shown["failed"]}


@pytest.mark.wide(1)
@PLACES
@pytest.mark.parametrize("handler", ["effect_but_tens", "effect_and_results"])
def test_what_was_done_for_a_failed_row_in_the_transaction_is_undone(
    database: Database, place: str, handler: str
) -> None:
    prepared(database, place)
    document = drain(database, "--call", CALL.format(handler)).json()
    assert (document["rows"], document["waiting"]) == (180, 20)
    effects = database.column("SELECT job FROM effects ORDER BY job")
    assert effects == [n for n in range(1, 201) if n % 10 != 7]
    assert states(database) == {"done": 180, "pending": 20}


def test_row_locks_alone_leave_failed_rows_pending(database: Database) -> None:
    jobs(database, 200)
    result = drain(database, "--call", CALL.format("effect_but_tens"), "--lease-in", "none")
    document = result.json()
    assert (result.code, document["reason"], document["rows"]) == (3, "incomplete", 180)
    assert (document["rejected"], document["locked"], document["backlog"]) == (20, 0, 20)
    assert len(database.column("SELECT DISTINCT job FROM effects")) == 180
    assert states(database) == {"done": 180, "pending": 20}


def test_done_rows_deleted_and_one_that_the_database_refuses_left(database: Database) -> None:
    prepared(database, "columns")
    document = here(
        "drain", "jobs", "--url", database.url, "--where", PENDING, "--delete", "--call", CALL.format("noop"), "--json",
        "--max-rows", "150",
    ).json()  # fmt: skip
    assert (document["reason"], document["rows"], document["left"]) == ("max-rows", 150, 50)
    assert database.scalar("SELECT count(*) FROM jobs") == 50


def test_a_row_that_the_database_refuses_fails_alone(database: Database) -> None:
    prepared(database, "columns")
    database.execute("CREATE UNIQUE INDEX once ON jobs (payload)")
    # Setting the payload of job 8 to that of job 7 breaks the unique index for this row only.
    new = "payload = CASE WHEN id = 8 THEN 'job number 7' ELSE payload END"
    document = drain(database, "--set", new).json()
    assert (document["rows"], document["failed"], document["waiting"]) == (199, 1, 1)
    assert database.column("SELECT id FROM jobs WHERE status = 'pending'") == [8]


def test_a_mark_that_the_database_refuses_fails_alone(database: Database) -> None:
    prepared(database, "columns")
    database.execute("CREATE UNIQUE INDEX once ON jobs (payload)")
    mark = "payload = CASE WHEN id = 8 THEN 'job number 7' ELSE payload END"
    document = drain(database, "--call", CALL.format("some_fail"), "--done", mark).json()
    assert (document["rows"], document["failed"], document["waiting"]) == (179, 21, 21)
    assert states(database) == {"done": 179, "pending": 21}
    assert database.scalar("SELECT failure FROM jobs WHERE id = 17") == "job 17 is odd"
    refused = database.scalar("SELECT failure FROM jobs WHERE id = 8").lower()
    assert "unique" in refused or "duplicate" in refused, refused


def test_in_the_order_that_was_asked_for(batchops: Batchops, database: Database, tmp_path: Path) -> None:
    prepared(database, "columns")
    database.execute("UPDATE jobs SET n = 200 - id")
    handled = tmp_path / "handled"
    args = ("--call", CALL.format("record"), "--order", "n, id DESC", "--batch-size", "20")
    result = batchops("drain", "jobs", "--url", database.url, *DRAIN, *args, env={"HANDLED": str(handled)})
    assert result.code == 0, result.err
    assert [int(line) for line in handled.read_text().splitlines()] == list(range(200, 0, -1))


@PLACES
def test_failed_rows_put_back_one_some_all(database: Database, place: str) -> None:
    prepared(database, place)
    drain(database, "--call", CALL.format("some_fail"), "--max-attempts", "1", "--failed", "status = 'x'")
    assert states(database) == {"done": 180, "x": 20}
    redrive = ("queue", "redrive", "jobs", "--url", database.url, "--set", PENDING)
    assert here(*redrive).code == 2
    for which, pending in ((("--row", "17"), 1), (("--limit", "4"), 5), (("--all",), 20), (("--row", "1"), 20)):
        result = here(*redrive, *which)
        assert result.code == 0, result.err
        assert states(database).get("pending", 0) == pending
    assert show(database)["backlog"] == 20
    assert drain(database, "--set", "n = n + 1").json()["rows"] == 20
    assert states(database) == {"done": 200}


@pytest.mark.wide(1)
@PLACES
def test_failed_rows_by_key_and_put_back_by_a_condition(database: Database, place: str) -> None:
    prepared(database, place)
    drain(database, "--call", CALL.format("some_fail"), "--max-attempts", "1", "--max-rows", "100")
    drain(database, "--call", CALL.format("some_fail"), "--max-attempts", "2")
    at = ("jobs", "--url", database.url)
    told = here("queue", "show", *at, "--failed", "--json").json()
    dead = [row["key"] for row in told["failed_rows"] if row["state"] == "dead"]
    waiting = [row for row in told["failed_rows"] if row["state"] == "waiting"]
    assert (len(dead) + len(waiting), told["key"], told["more"]) == (20, ["id"], False)
    assert {int(key) for key in dead} == set(range(7, 201, 10)) - {int(row["key"]) for row in waiting}
    assert all(row["attempts"] == 1 and row["next_seconds"] is not None for row in waiting)
    lines = here("queue", "show", *at, "--failed", "--limit", "3").out.splitlines()
    assert (lines[0], len(lines)) == ("jobs: more than 3 failed rows", 5)
    assert re.fullmatch(r"  id \d+ +1 attempt, dead letter: job \d+ is odd", lines[1])
    assert here("queue", "show", *at).code == 2

    chosen = ("queue", "redrive", *at, "--where", "id < 30")
    assert here(*chosen, "--dry-run").out == "jobs: 3 rows would be put back: 7, 17, 27.\n"
    assert here(*chosen, "--limit", "1", "-n").out == "jobs: 1 row would be put back: 7.\n"
    assert here("queue", "redrive", *at, "--row", "17", "--row", "18", "-n").out.endswith("put back: 17.\n")
    assert here(*chosen).out == "jobs: 3 rows put back.\n"
    assert here(*chosen).out == "jobs: 0 rows put back.\n"
    assert here(*chosen[:-1], "idd < 30").code == 2


def test_the_age_of_the_oldest(database: Database) -> None:
    prepared(database, "columns", 10)
    kind = {"postgresql": "timestamptz", "mysql": "datetime", "sqlite": "datetime"}[database.backend]
    ago = {
        "postgresql": "now() - interval '2 hours'",
        "mysql": "now() - interval 2 hour",
        "sqlite": "datetime('now', '-2 hours')",
    }[database.backend]
    database.execute(f"ALTER TABLE jobs ADD COLUMN came {kind}")
    database.execute(f"UPDATE jobs SET came = {ago} WHERE id = 3")
    shown = show(database, "--by", "came")
    assert 7_200 <= shown["oldest_seconds"] < 7_400


def test_locked_rows_are_waited_for_and_then_told(
    database: Database
) -> None:  # fmt: skip
    if database.backend == "sqlite":
        return  # one writer: who holds a lock there holds all
    jobs(database, 20)
    with database.engine.begin() as other:
        other.exec_driver_sql("SELECT * FROM jobs WHERE id IN (3, 5) FOR UPDATE")
        result = drain(database, "--set", "n = n + 1", "--lock-timeout", "1s")
        document = result.json()
        assert (result.code, document["reason"], document["rows"], document["locked"]) == (3, "incomplete", 18, 2)
    assert drain(database, "--set", "n = n + 1").json()["rows"] == 2


def test_composite_and_text_keys_reserved_names(database: Database) -> None:
    name = "`order`" if database.backend == "mysql" else '"order"'
    column = "`select`" if database.backend == "mysql" else '"select"'
    database.execute(
        f"CREATE TABLE {name} (a varchar(20), {column} integer, status varchar(20), n integer NOT NULL,"
        f" PRIMARY KEY (a, {column}))"
    )
    for place in ("columns", "table"):
        database.execute(f"DELETE FROM {name}")
        rows = [(f"ä:{i % 3}'", i - 50, "pending", 0) for i in range(100)]
        database.insert(name, ["a", column, "status", "n"], rows)
        made = here("queue", "init", "order", "--lease-in", place, "--apply", "--url", database.url)
        assert made.code == 0, made.err
        args = ("--set", "n = n + 1", "--batch-size", "7", "--lease-in", place, "--json")
        result = here("drain", "order", "--url", database.url, *DRAIN, *args)
        assert result.code == 0, result.err
        assert result.json()["rows"] == 100
        assert database.rows(f"SELECT min(n), max(n), count(*) FROM {name} WHERE status = 'done'") == [(1, 1, 100)]


def test_a_function_of_the_library(database: Database) -> None:
    prepared(database, "columns")
    seen: list[dict[str, Any]] = []
    ended = library.drain(
        url=database.url, table="jobs", where=PENDING, done=["status = 'done'"], handler=seen.extend, batch_size=30
    )
    assert (ended.reason, ended.rows, len(seen)) == ("done", 200, 200)
    assert set(seen[0]) == {"id", "status", "n", "payload", "attempts"}
    assert ended.drained is not None
    assert ended.drained.claimed == 200


def test_an_effect_through_the_library(database: Database) -> None:
    prepared(database, "columns")
    done = {"where": PENDING, "done": ["status = 'done'"]}
    ended = library.drain(url=database.url, table="jobs", handler=functions.effect, **done)
    assert (ended.rows, database.scalar("SELECT count(DISTINCT job) FROM effects")) == (200, 200)


def test_events_and_a_dry_run_that_changes_nothing(batchops: Batchops, database: Database) -> None:
    prepared(database, "columns")
    plan = drain(database, "--set", "n = n + 1", "--dry-run").json()
    assert (plan["reason"], plan["plan"]["leases"]) == ("dry-run", "columns of the table")
    assert database.rows("SELECT DISTINCT status, n, attempts, lease FROM jobs") == [("pending", 0, 0, None)]
    events = batchops.home / "events"
    drain(database, "--set", "n = n + 1", "--events", str(events))
    told = [json.loads(line) for line in events.read_text().splitlines()]
    assert (told[0]["event"], told[-1]["event"]) == ("started", "finished")
    assert sum(line["rows"] for line in told if line["event"] == "committed") == 200


def due(database: Database, place: str) -> None:
    """Time passes: what waits is due."""
    database.execute(
        f"UPDATE {'jobs' if place == 'columns' else 'batchops_row_lease'} SET next_at = 1 WHERE next_at < 1e14"
    )


def show(database: Database, *args: str) -> Any:
    result = here("queue", "show", "jobs", "--url", database.url, "--where", PENDING, "--json", *args)
    assert result.code == 0, result.err
    return result.json()
