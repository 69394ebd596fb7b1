"""Evaluates sub-selects that stand for one value once, at the start, as one statement over all rows would do."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.database import Database
from batchops.db.faults import Fault, driver_error
from batchops.sql.selection import user_sql
from batchops.sql.subselects import SubSelect, inner_subselects, subselects
from batchops.sql.tokens import SqlTokens, tokenize

LONGEST_VALUE = 10_000
"""The most characters of a value that is written into every statement."""
_NOT_ALONE = (Fault.STATEMENT, Fault.NO_COLUMN, Fault.NO_TABLE, Fault.ROW_REFUSED, Fault.DENIED, Fault.READ_ONLY)
"""The faults of a sub-select that reads the row around it, returns several rows, or writes."""


@dataclass(frozen=True)
class PinnedText:
    """A condition or value with literals in place of sub-selects."""

    text: str
    replaced: tuple[str, ...]
    """The sub-selects that were evaluated, as they were written."""


def pin_values(connection: sa.Connection, database: Database, text: str) -> PinnedText:
    """Return the text with each sub-select that needs nothing around it replaced by its value.

    A name means the nearest table that has it. So a sub-select that the server can evaluate alone is not correlated.
    """
    tokens = tokenize(text, database.backend.sql_functions.dialect)
    if not tokens.inner:
        return PinnedText(text, ())
    found = _pinned(connection, database, tokens, subselects(tokens))
    for start, end, literal in reversed(found):
        text = f"{text[:start]}{literal}{text[end:]}"
    return PinnedText(text, tuple(tokens.text[start:end] for start, end, _ in found))


def _pinned(
    connection: sa.Connection, database: Database, tokens: SqlTokens, found: tuple[SubSelect, ...]
) -> list[tuple[int, int, str]]:
    """Return start, end and literal of each sub-select, in order; of those within it, if it has no literal itself."""
    pinned: list[tuple[int, int, str]] = []
    for one in found:
        literal = literal_of(connection, database, tokens.text[one.start : one.end]) if one.value else None
        if literal is not None and len(literal) <= LONGEST_VALUE:
            pinned.append((one.start, one.end, literal))
        else:
            pinned += _pinned(connection, database, tokens, inner_subselects(tokens, one))
    return pinned


def literal_of(connection: sa.Connection, database: Database, text: str) -> str | None:
    """Return the value of an expression that needs no row around it, as a literal; None for any other."""
    connection.exec_driver_sql("SAVEPOINT evaluating")
    try:
        return database.backend.facts.value_literal(connection, user_sql(f"({text}) AS v"))
    except DBAPIError as error:
        if database.backend.faults.classify(driver_error(error)) not in _NOT_ALONE:
            raise
        return None
    finally:
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT evaluating")
