"""A mark at claim time: there while a row is worked on, gone when it is not done, never lost with its worker."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import batchops as library
from batchops.events import Finished
from tests.command import Batchops, here
from tests.conftest import NewDatabase
from tests.leases import expired
from tests.queues.jobs import DONE, DRAIN, PENDING, jobs, states
from tests.services.database import FAMILIES, Database
from tests.waiting import until

ROWS = 12
RUNNING = "status = 'running'"
QUICK = {("postgresql", "columns"), ("mariadb", "table"), ("sqlite", "columns")}
CASES = [
    pytest.param(name, place, id=f"{name}-{place}", marks=() if (name, place) in QUICK else pytest.mark.full)
    for name in FAMILIES for place in ("columns", "table")
]  # fmt: skip
EACH = pytest.mark.parametrize(("name", "place"), CASES)


def queue(database: Database, place: str, rows: int = ROWS) -> None:
    jobs(database, rows)
    made = here("queue", "init", "jobs", "--lease", place, "--claimed", "--make", "--url", database.url)
    assert made.code == 0, made.err


def kept(database: Database, place: str) -> list[str]:
    """What is kept of rows that are marked."""
    table = "jobs" if place == "columns" else "batchops_lease"
    return [row[0] for row in database.rows(f"SELECT before_claim FROM {table} WHERE before_claim IS NOT NULL")]


def drained(database: Database, handler: Any, **options: Any) -> Finished:
    given: dict[str, Any] = {"where": PENDING, "done": DONE, "claimed": [RUNNING], "backoff": "0s"}
    return library.drain(url=database.url, table="jobs", handler=handler, **given | options)


@EACH
def test_a_row_is_marked_while_it_is_worked_on(new_database: NewDatabase, name: str, place: str) -> None:
    database = new_database(name)
    queue(database, place)
    seen: list[dict[str, int]] = []
    tries: list[int] = []

    def handler(rows: Sequence[dict[str, Any]]) -> list[str | None]:
        assert {row["status"] for row in rows} == {"running"}
        seen.append(states(database))
        tries.extend(row["id"] for row in rows if row["id"] in (3, 5))
        return ["not yet" if (row["id"] == 3 and tries.count(3) == 1) or row["id"] == 5 else None for row in rows]

    finished = drained(database, handler, max_attempts=2, batch_size=20)
    assert (finished.rows, finished.exit, sorted(tries)) == (ROWS - 1, 3, [3, 3, 5, 5])
    assert seen[:2] == [{"running": 1, "pending": ROWS - 1}, {"running": ROWS - 1, "done": 1}]
    assert states(database) == {"done": ROWS - 1, "pending": 1}
    assert kept(database, place) == []
    back = here("queue", "redrive", "jobs", "--all", "--url", database.url)
    assert "1 rows put back" in back.out
    failed = drained(database, lambda rows: ["never"] * len(rows), max_attempts=1, failed=["status = 'failed'"])
    assert (failed.exit, states(database)) == (3, {"done": ROWS - 1, "failed": 1})


@EACH
def test_a_row_is_found_again_after_kill_9(
    batchops: Batchops, new_database: NewDatabase, tmp_path: Path, name: str, place: str
) -> None:
    database = new_database(name)
    queue(database, place)
    handled = tmp_path / "handled"
    args = ("drain", "jobs", "--url", database.url, *DRAIN, "--claimed", RUNNING, "--claimed", "n = n + 7", "-q")
    process = batchops.start(
        *args, "--call", "tests.queues.hands:slow", "--batch-size", "8", env={"HANDLED": str(handled)}
    )
    until(handled.exists, process)
    process.kill()
    process.communicate()
    assert states(database) == {"done": 1, "running": 8, "pending": 3}
    assert len(kept(database, place)) == 8
    shown = here("queue", "show", "jobs", "--where", PENDING, "--json", "--url", database.url).json()
    assert (shown["backlog"], shown["leased"]) == (3, 8)
    expired(database, "jobs" if place == "columns" else "batchops_lease")
    shown = here("queue", "show", "jobs", "--where", PENDING, "--json", "--url", database.url).json()
    assert (shown["backlog"], shown["leased"], shown["expired"]) == (11, 0, 8)
    rows: list[int] = []
    finished = drained(database, lambda some: rows.extend(row["n"] for row in some), batch_size=4)
    assert (finished.exit, finished.rows, rows) == (0, 11, [0] * 11), finished
    assert states(database) == {"done": ROWS}
    assert kept(database, place) == []
