"""Work that shares the finalising transaction: a row's effect and its mark are one commit."""

from collections.abc import Callable, Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.database import Database
from batchops.db.types import KeyValue
from batchops.errors import TransientError
from batchops.queue.deadline import Deadline, DeadlinePassedError
from batchops.queue.handlers import Handler, HandlerError, Result, Unstarted
from batchops.queue.queue import Row
from batchops.queue.results import blamed
from batchops.runtime.bisect import by_halves
from batchops.runtime.stop import Stop

Mark = Callable[[sa.Connection, Sequence[KeyValue]], Collection[KeyValue]]
"""Marks rows done that are still held, and says which those were."""
LOST = Unstarted()
"""The result of a row whose lease had been lost before the work began."""


class InTransaction:
    """Marks rows and has the handler work on them, with a savepoint before each try."""

    def __init__(self, database: Database, handler: Handler, deadline: Deadline, stop: Stop) -> None:
        self._database = database
        self._handler = handler
        self._deadline = deadline
        self._stop = stop

    def __call__(self, connection: sa.Connection, rows: Sequence[Row], mark: Mark) -> list[Result]:
        """A result per row; those done are marked in this transaction, of the others no trace is left."""
        transaction = connection.get_transaction()

        def work(some: Sequence[Row]) -> Sequence[Result]:
            connection.exec_driver_sql("SAVEPOINT batchops_try")
            try:
                results = self._attempt(connection, some, mark)
                _still_ours(connection, transaction)
                self._end_try(connection)
            except (TransientError, HandlerError):
                raise
            except DeadlinePassedError:
                # What hangs still has the connection; it must not continue in a transaction of ours.
                connection.invalidate()
                raise
            except Exception as error:
                _still_ours(connection, transaction, error)
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
            # The effects of good and bad ones cannot be told apart: once more, without the bad ones.
            _undo_try(connection)

    def _end_try(self, connection: sa.Connection) -> None:
        """Give up the savepoint, which also proves that marks and effects still are in an open transaction."""
        try:
            connection.exec_driver_sql("RELEASE SAVEPOINT batchops_try")
        except DBAPIError as error:
            translated = self._database.error(error)
            if isinstance(translated, TransientError):
                raise translated from error
            # PostgreSQL: a statement failed, the handler went on, and COMMIT would undo everything without a word.
            raise _HandlerSQLError(f"a statement of the handler failed before: {translated.message}") from error

    def _marked(self, connection: sa.Connection, keys: Sequence[KeyValue], mark: Mark) -> Collection[KeyValue]:
        try:
            return mark(connection, keys)
        except DBAPIError as error:
            raise self._database.error(error) from error

    def _answers(self, connection: sa.Connection, rows: Sequence[Row]) -> Sequence[Result]:
        try:
            values = [row.values for row in rows]
            if not self._handler.can_crash:
                return self._handler(values, connection, self._stop)
            return self._deadline.call(lambda: self._handler(values, connection, self._stop))
        except DBAPIError as error:
            translated = self._database.error(error)
            if isinstance(translated, TransientError):
                raise translated from error
            raise _HandlerSQLError(translated.message) from error


def _still_ours(
    connection: sa.Connection, transaction: sa.RootTransaction | None, cause: Exception | None = None
) -> None:
    """HandlerError where the handler has committed, rolled back or closed what it was given to work in."""
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
    """A statement of the handler's own that the database refuses."""
