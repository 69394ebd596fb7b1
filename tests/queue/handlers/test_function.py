"""Functions that get one row a call: what fails fails that row alone, with and without the rows' transaction."""

from typing import Any

import pytest

import batchops as library
from tests.queue.jobs import DONE, PENDING, drain, jobs, leased, states
from tests.services.database import Database

pytestmark = pytest.mark.in_turn
CALL = "tests.queue.functions:{}"


def test_an_exception_fails_that_row_only(database: Database) -> None:
    jobs(database, 40)
    leased(database)
    document = drain(database, "--call", CALL.format("each")).json()
    assert (document["rows"], document["waiting"], document["failed"]) == (36, 4, 4)
    failed = dict(database.rows("SELECT id, failure FROM jobs WHERE failure IS NOT NULL"))
    assert failed == {n: f"ValueError: cannot do {n}" for n in (7, 17, 27, 37)}
    assert database.column("SELECT DISTINCT attempts FROM jobs") == [1]


def test_its_effect_is_undone_and_the_others_stay(database: Database) -> None:
    jobs(database, 20)
    database.execute("DELETE FROM jobs WHERE id = 17")
    leased(database)
    document = drain(database, "--call", CALL.format("each_inside")).json()
    assert (document["rows"], document["waiting"]) == (16, 3), document
    assert set(database.column("SELECT id FROM jobs WHERE status = 'pending'")) == {3, 5, 7}
    done = set(range(1, 21)) - {3, 5, 7, 17}
    assert sorted(database.column("SELECT job FROM effects")) == sorted(done)
    assert database.scalar("SELECT failure FROM jobs WHERE id = 3") == "three is odd"


def test_of_the_library(sqlite: Database) -> None:
    jobs(sqlite, 10)
    leased(sqlite)
    seen: list[Any] = []

    def handler(row: dict[str, Any]) -> None:
        seen.append(row["id"])

    ended = library.drain(url=sqlite.url, table="jobs", where=PENDING, done=[DONE], handler=handler)
    assert (ended.rows, sorted(seen), states(sqlite)) == (10, list(range(1, 11)), {"done": 10})


def test_a_function_of_a_batch_that_takes_it_for_a_row_is_told(sqlite: Database) -> None:
    jobs(sqlite, 2)
    leased(sqlite)
    drain(sqlite, "--call", CALL.format("of_one_row"))
    assert 'name its parameter "row" to get one' in sqlite.scalar("SELECT failure FROM jobs WHERE id = 1")
