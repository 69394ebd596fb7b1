"""Finds the row for which a condition cannot be evaluated: a division by zero, a text that is no number."""

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.bulk.strategies.cursor import Cursor
from batchops.bulk.strategies.strategy import Batch, Strategy
from batchops.db.database import Database
from batchops.db.value_formats import as_text
from batchops.errors import BatchopsError, ConditionFailedError, RowRefusedError
from batchops.runtime.batch_size import Size

_SHOWN = 100
"""The most characters of the condition in a message."""
HINT = "exclude rows without a value by CASE WHEN … THEN … END, or wrap a divisor in NULLIF(…, 0)."


def next_batch(
    database: Database, strategy: Strategy, connection: sa.Connection, cursor: Cursor, size: Size
) -> Batch | None:
    """Return the strategy's next batch; ConditionFailedError if the condition, which selects its rows, fails."""
    try:
        return strategy.next(connection, cursor, size)
    except DBAPIError as error:
        translated = database.error(error)
        if isinstance(translated, RowRefusedError):
            raise ConditionFailedError(translated.message, f"{HINT} Committed batches are kept.") from error
        raise


def ready(strategy: Strategy, cursor: Cursor) -> float:
    """Let the strategy read ahead, and return the seconds spent; ConditionFailedError as for its next batch."""
    try:
        return strategy.ready(cursor)
    except RowRefusedError as error:
        raise ConditionFailedError(error.message, f"{HINT} Committed batches are kept.") from error


def located(
    database: Database, strategy: Strategy, cursor: Cursor, size: Size, failed: ConditionFailedError
) -> ConditionFailedError:  # fmt: skip
    """Return the error with the condition and the row's place. It runs outside the batch's transaction."""
    place = ""
    try:
        with database.reading() as connection:
            batch = strategy.first(connection, cursor)
        if not cursor.ranges[0].keys:
            place = _place(database, strategy, cursor, size)
    except BatchopsError:  # the place cannot be found out just now
        return failed
    selection = batch.selection if batch else None
    text = " ".join((selection.condition or "" if selection else "").split())
    text = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    row = f'a row of "{selection.table.label}"' if selection else "a row"
    return ConditionFailedError(f"The condition {text} fails on {row}{place}: {failed.message}", failed.hint)


def _place(database: Database, strategy: Strategy, cursor: Cursor, size: Size) -> str:
    """Return the key before the first failing row, found by halving; empty for a strategy without a cursor."""
    good, bad, position, key = 0, max(1, size.read), cursor.position, tuple[str, ...]()
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            with database.trying() as connection:
                batch = next_batch(database, strategy, connection, cursor, Size(middle, middle, exact=True))
        except ConditionFailedError:
            bad = middle
            continue
        if batch is None or not batch.key:
            return ""
        good, position, key = middle, batch.cursor.position, batch.key
    named = [f"{name}={as_text(value)}" for name, value in zip(key, position or (), strict=False)]
    return f", the first after {', '.join(named or map(as_text, position))}" if position else ""
