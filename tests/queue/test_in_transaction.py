"""Handlers that share the finalising transaction, and what they must not do to it: no row counts as done by mistake."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

import batchops as library
from tests.queue.jobs import DONE, PENDING, jobs, leased, states
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

ROWS = 6
BAD = 4
"""The row over which the handler does what it should not; it is never in the first batch."""
ENDS: dict[str, Callable[[sa.Connection], object]] = {
    "commit": lambda connection: connection.commit(),
    "rollback": lambda connection: connection.rollback(),
    "close": lambda connection: connection.close(),
    "invalidate": lambda connection: connection.invalidate(),
    "ROLLBACK as a statement": lambda connection: connection.exec_driver_sql("ROLLBACK"),
    "COMMIT and BEGIN as statements": lambda connection: [connection.exec_driver_sql(q) for q in ("COMMIT", "BEGIN")],
}


@pytest.fixture(params=["columns", "none"])
def queue(request: pytest.FixtureRequest, database: Database) -> Database:
    jobs(database, ROWS)
    if request.param == "columns":
        leased(database)
    return database


def drained(database: Database, at_bad: Callable[[sa.Connection], object]) -> Any:
    def handler(rows: Sequence[dict[str, Any]], connection: sa.Connection) -> None:
        connection.execute(sa.text("INSERT INTO effects (job) VALUES (:id)"), [{"id": row["id"]} for row in rows])
        if any(row["id"] == BAD for row in rows):
            at_bad(connection)

    return library.drain(
        url=database.url, table="jobs", where=PENDING, done=[DONE], handler=handler, batch_size=2, backoff="0s",
        max_attempts=2,
    )  # fmt: skip


@pytest.mark.wide(2)
@pytest.mark.parametrize("how", [
    pytest.param(how, marks=() if how in ("rollback", "COMMIT and BEGIN as statements") else pytest.mark.full)
    for how in ENDS
])  # fmt: skip
def test_a_handler_that_ends_the_transaction_is_told_so(queue: Database, how: str) -> None:
    told_of_the_end(drained(queue, ENDS[how]))
    assert consistent(queue)
    assert states(queue).get("pending", 0) > 0


def test_one_that_ends_it_and_raises_is_told_the_same(queue: Database) -> None:
    def commit_and_fail(connection: sa.Connection) -> None:
        connection.commit()
        raise ValueError("too late")

    told_of_the_end(drained(queue, commit_and_fail))


def test_a_statement_that_commits_by_itself_is_found(mariadb: Database) -> None:
    jobs(mariadb, ROWS)
    told_of_the_end(drained(mariadb, lambda connection: connection.exec_driver_sql("CREATE TABLE made (a int)")))


def test_an_error_of_a_statement_that_the_handler_swallowed_fails_its_row(queue: Database) -> None:
    """PostgreSQL answers COMMIT with a ROLLBACK then, and says no more; elsewhere the transaction goes on."""

    def swallow(connection: sa.Connection) -> None:
        try:
            connection.exec_driver_sql("SELECT 1 FROM no_such_table")
        except sa.exc.DBAPIError:
            return

    ended = drained(queue, swallow)
    aborted = queue.backend == "postgresql"
    assert (ended.rows, states(queue).get("pending", 0)) == (ROWS - aborted, int(aborted))
    assert consistent(queue)


def told_of_the_end(ended: Any) -> None:
    assert (ended.reason, ended.exit) == ("failed", 1), ended
    assert "ended the transaction" in ended.error.message


def consistent(database: Database) -> bool:
    """Whether the rows that are done are those with an effect."""
    done = database.column("SELECT id FROM jobs WHERE status = 'done' ORDER BY id")
    return done == database.column("SELECT job FROM effects ORDER BY job")
