"""Work in the finalising transaction: a row's effect and its mark are one commit."""

from collections.abc import Callable, Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.database import Database
from batchops.db.types import KeyValue
from batchops.errors import TransientError
from batchops.queue.deadline import Deadline, DeadlinePassedError
from batchops.queue.handlers import Handler, HandlerError, Result, Unstarted
from batchops.queue.queue import Row, by_columns
from batchops.queue.results import blamed
from batchops.runtime.bisect import by_halves
from batchops.runtime.stop import Stop

Mark = Callable[[sa.Connection, Sequence[KeyValue]], Collection[KeyValue]]
"""Marks as done the rows that are still held, and returns their keys."""
LOST = Unstarted()
"""The result of a row whose lease was lost before the work began."""


class InTransaction:
    """Marks rows and calls the handler for them, with a savepoint before each try."""

    def __init__(self, database: Database, handler: Handler, deadline: Deadline, stop: Stop) -> None:
        self._database = database
        self._handler = handler
        self._deadline = deadline
        self._stop = stop

    def __call__(self, connection: sa.Connection, rows: Sequence[Row], mark: Mark) -> list[Result]:
        """Return a result for each row. The transaction holds the marks and effects of the done rows only."""
        transaction = connection.get_transaction()

        def work(some: Sequence[Row]) -> Sequence[Result]:
            connection.exec_driver_sql("SAVEPOINT batchops_try")
            try:
                results = self._attempt(connection, some, mark)
                _check_transaction(connection, transaction)
                self._end_try(connection)
            except (TransientError, HandlerError):
                raise
            except DeadlinePassedError:
                # The hanging call still has the connection, and must not continue in a transaction of batchops.
                connection.invalidate()
                raise
            except Exception as error:
                _check_transaction(connection, transaction, error)
                _undo_try(connection, error)
                raise
            return results

        return by_halves(rows, work, blamed)

    def _attempt(self, connection: sa.Connection, rows: Sequence[Row], mark: Mark) -> Sequence[Result]:
        results: dict[KeyValue, Result] = {}
        while True:
            left = [row for row in rows if row.key not in results]
            held = self._marked(connection, [row.key for row in left], mark)
            results |= {row.key: LOST for row in left if row.key not in held}
            left = [row for row in left if row.key in held]
            answers = self._answers(connection, left) if left else []
            bad = {row.key: one for row, one in zip(left, answers, strict=True) if one is not None}
            results |= bad
            if not bad:
                return [results.get(row.key) for row in rows]
            # The effects of good and bad rows cannot be separated: work once more, without the bad rows.
            _undo_try(connection)

    def _end_try(self, connection: sa.Connection) -> None:
        """Release the savepoint. This also proves that the marks and effects are still in an open transaction."""
        try:
            connection.exec_driver_sql("RELEASE SAVEPOINT batchops_try")
        except DBAPIError as error:
            translated = self._database.error(error)
            if isinstance(translated, TransientError):
                raise translated from error
            # PostgreSQL: a statement failed, the handler continued, and COMMIT would silently undo everything.
            raise _HandlerSQLError(f"a statement of the handler failed before: {translated.message}") from error

    def _marked(self, connection: sa.Connection, keys: Sequence[KeyValue], mark: Mark) -> Collection[KeyValue]:
        try:
            return mark(connection, keys)
        except DBAPIError as error:
            raise self._database.error(error) from error

    def _answers(self, connection: sa.Connection, rows: Sequence[Row]) -> Sequence[Result]:
        try:
            values = by_columns(rows).values()
            if not self._handler.can_crash:
                return self._handler(values, connection, self._stop)
            return self._deadline.call(lambda: self._handler(values, connection, self._stop))
        except DBAPIError as error:
            translated = self._database.error(error)
            if isinstance(translated, TransientError):
                raise translated from error
            raise _HandlerSQLError(translated.message) from error


def _check_transaction(
    connection: sa.Connection, transaction: sa.RootTransaction | None, cause: Exception | None = None
) -> None:
    """Raise HandlerError if the handler has committed, rolled back or closed the connection that it was given."""
    if connection.closed or connection.invalidated or connection.get_transaction() is not transaction:
        raise _ended() from cause


def _undo_try(connection: sa.Connection, cause: Exception | None = None) -> None:
    try:
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT batchops_try")
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        raise _ended() from cause or error


def _ended() -> HandlerError:
    return HandlerError(
        "The handler, or a trigger, ended the transaction of its rows: what it did and their marks are not one commit.",
        "leave COMMIT and ROLLBACK to batchops, as well as statements that commit by themselves; "
        "raise an error, or return one for a row, to have its work undone.",
    )


class _HandlerSQLError(Exception):
    """The database refused a statement of the handler."""
