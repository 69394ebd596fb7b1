"""All rows of a claim are marked by the range of their keys and their token; that marks no other row."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.queue.jobs import jobs, leased
from tests.queue.test_statements import drain, sent
from tests.services.database import Database

pytestmark = pytest.mark.in_turn
__all__ = ("sent",)
Rows = list[dict[str, Any]]
ROWS = 40


@pytest.fixture
def first_batch(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], Rows]:
    """Does something while the first whole batch is handled; gives all rows as they are handled."""

    def begin(during: Callable[[], None]) -> Rows:
        handled: Rows = []

        def handle(rows: Rows) -> None:
            if len(handled) == 1:  # that row was tried alone
                during()
            handled.extend(rows)

        monkeypatch.setattr("tests.queue.functions.noop", handle)
        return handled

    return begin


def marks(sent: list[str]) -> list[str]:
    return [one for one in sent if one.startswith('UPDATE "public"."jobs" SET "status"')]


def test_neighbours_are_marked_by_their_range_and_others_by_a_list(postgresql: Database, sent: list[str]) -> None:
    jobs(postgresql, ROWS)
    leased(postgresql)
    sent.clear()
    assert drain(postgresql)["rows"] == ROWS
    assert ["any(" in one for one in marks(sent)] == [False] * 5
    postgresql.execute("UPDATE jobs SET status = 'pending', id = id * 10 + 1000")
    sent.clear()
    assert drain(postgresql)["rows"] == ROWS
    assert ["any(" in one for one in marks(sent)] == [False] + [True] * 4  # one row by itself is a range


def test_a_row_of_a_range_whose_lease_is_lost_is_not_marked(
    postgresql: Database, first_batch: Callable[[Callable[[], None]], Rows]
) -> None:
    jobs(postgresql, ROWS)
    leased(postgresql)
    first_batch(lambda: postgresql.execute("UPDATE jobs SET lease = 'another', lease_until = 1e12 WHERE id = 5"))
    document = drain(postgresql, "--lock-timeout", "100ms")
    assert (document["reason"], document["rows"], document["lost"]) == ("locked", ROWS - 1, 1)
    assert postgresql.rows("SELECT id, lease FROM jobs WHERE status = 'pending'") == [(5, "another")]


def test_a_copy_of_a_row_with_its_lease_is_handled_by_itself(
    postgresql: Database, first_batch: Callable[[Callable[[], None]], Rows]
) -> None:
    """As an application makes that duplicates a job; its key is among those of the claim."""
    jobs(postgresql, ROWS)
    leased(postgresql)
    postgresql.execute("DELETE FROM jobs WHERE id = 5")
    copy = "INSERT INTO jobs SELECT 5, status, n, 'copy', lease, 0, attempts FROM jobs WHERE id = 4"
    handled = first_batch(lambda: postgresql.execute(copy))
    assert drain(postgresql)["rows"] == ROWS
    assert sorted(row["id"] for row in handled) == list(range(1, ROWS + 1))
