"""Rows come in the order that was asked for, within a batch and from batch to batch, wherever leases are kept."""

from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

import batchops as library
from tests.queue.jobs import here
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

ORDERS = {
    "priority DESC, id": "priority DESC, id",
    "priority desc nulls last, name, id": "priority IS NULL, priority DESC, name, id",
    "priority NULLS FIRST, name DESC, id DESC": "priority IS NOT NULL, priority, name DESC, id DESC",
    "due DESC, id DESC": "due DESC, id DESC",
}
"""As asked for, and as any of the databases says it."""
PLACES = ("columns", "table", "none")


def made(database: Database, place: str) -> None:
    moment = "datetime" if database.backend == "mysql" else "timestamp"
    database.execute(
        f"CREATE TABLE jobs (id integer PRIMARY KEY, priority integer, name varchar(9), due {moment}, done integer)"
    )
    rows = [
        (n, None if n % 5 == 4 else n * 7 % 4, "bÄaAc"[n * 3 % 5], f"20{n * 11 % 37:02}-01-01 00:00:00", 0)
        for n in range(1, 41)
    ]
    database.insert("jobs", ["id", "priority", "name", "due", "done"], rows)
    if place != "none":
        done = here("queue", "init", "jobs", "--lease-in", place, "--apply", "--url", database.url)
        assert done.code == 0, done.err


def drained(database: Database, order: str, place: str, handler: Any) -> None:
    library.drain(
        url=database.url, table="jobs", where="done = 0", done=["done = 1"], order=order, batch_size=7,
        handler=handler, lease_in=place, backoff="1h",
    )  # fmt: skip


@pytest.mark.wide(2)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("order", ORDERS)
def test_in_order(database: Database, order: str, place: str) -> None:
    made(database, place)
    wanted = database.column(f"SELECT id FROM jobs ORDER BY {ORDERS[order]}")
    seen: list[int] = []

    def note(rows: Sequence[dict[str, Any]]) -> None:
        seen.extend(row["id"] for row in rows)

    def inside(rows: Sequence[dict[str, Any]], _: sa.Connection) -> None:
        note(rows)

    drained(database, order, place, inside if place == "none" else note)
    assert seen == wanted


@pytest.mark.wide(1)
@pytest.mark.parametrize("place", PLACES[:2])
def test_in_order_once_more_after_failures_and_lost_leases(database: Database, place: str) -> None:
    made(database, place)
    order = "priority DESC, id"
    wanted = database.column(f"SELECT id FROM jobs ORDER BY {order}")
    seen: list[int] = []

    def fails(rows: Sequence[dict[str, Any]]) -> list[str | None]:
        return ["no"] * len(rows)

    def note(rows: Sequence[dict[str, Any]]) -> None:
        seen.extend(row["id"] for row in rows)

    drained(database, order, place, fails)
    leases = "jobs" if place == "columns" else "batchops_row_lease"
    even = "id % 2 = 0" if place == "columns" else "attempts = 1 AND row_key LIKE '%0'"
    database.execute(f"UPDATE {leases} SET next_at = 1")
    database.execute(f"UPDATE {leases} SET lease = 'gone.1', lease_until = 1 WHERE {even}")
    lost = set(database.column("SELECT id FROM jobs WHERE " + (even if place == "columns" else "id % 10 = 0")))
    drained(database, order, place, note)
    # Rows of a lost lease are tried first, each alone.
    assert seen == [n for n in wanted if n in lost] + [n for n in wanted if n not in lost]


def test_what_is_no_order_is_said(sqlite: Database) -> None:
    made(sqlite, "columns")
    for order in ("priority DOWN", "priority NULLS", "", "nope DESC"):
        done = here(
            "drain", "jobs", "--url", sqlite.url, "--where", "done = 0", "--done", "done = 1", "--set", "name = ''",
            "--order", f"{order},id",
        )  # fmt: skip
        assert (done.code, "--order" in done.err) == (2, True), done.err
