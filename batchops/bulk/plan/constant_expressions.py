"""Replaces expressions of constants that a column is compared with by one literal, for a proof by the planner."""

from collections.abc import Iterator
from itertools import pairwise

import sqlalchemy as sa

from batchops.bulk.plan.subselect_values import literal_of
from batchops.db.database import Database
from batchops.db.table import Table
from batchops.sql.tokens import SqlTokens, tokenize

_COMPARES = frozenset({"<", "<=", ">", ">=", "="})


def worked_out(connection: sa.Connection, database: Database, table: Table, condition: str) -> str:
    """Return the condition with literals in place of constants: `column < '2026-01-31' - interval '60 days'` becomes
    `column < '2025-12-02'`, in the column's type.

    PostgreSQL proves nothing from an expression whose value could change with the session's settings.
    """
    tokens = tokenize(condition, database.backend.sql_functions.dialect)
    for column, start, end in reversed(list(_comparisons(tokens, table))):
        own = table.column(column).type
        if not own.startswith("timestamp"):  # a date compares the same once it is a timestamp
            continue
        if literal := literal_of(connection, database, f"CAST(({condition[start:end]}) AS {own})"):
            condition = f"{condition[:start]} {literal}{condition[end:]}"
    return condition


def _comparisons(tokens: SqlTokens, table: Table) -> Iterator[tuple[str, int, int]]:
    """Yield the column, and the span of what it is compared with, of each condition that AND joins."""
    for first, last in _joined(tokens):
        column = _column(tokens, first, table)
        if column is not None and tokens.at(first + 1).written in _COMPARES and first + 2 < last:
            yield column, tokens.at(first + 2).start, tokens.at(last - 1).end


def _joined(tokens: SqlTokens) -> Iterator[tuple[int, int]]:
    """Yield the first token and the end of each condition on the top level; nothing if there is an OR."""
    functions = [i for i, p in enumerate(tokens.tokens) if tokens.around[i] is None and p.kind == "word"]
    if any(tokens.at(i).value in {"or", "between"} for i in functions):
        return
    edges = [-1, *(i for i in functions if tokens.at(i).value == "and"), len(tokens.tokens)]
    for before, after in pairwise(edges):
        first, last = before + 1, after
        while tokens.at(first).written == "(" and tokens.closing.get(first) == last - 1:
            first, last = first + 1, last - 1
        yield first, last


def _column(tokens: SqlTokens, index: int, table: Table) -> str | None:
    token = tokens.at(index)
    if token.kind not in {"word", "name"}:
        return None
    return next((name for name in table.column_names if name == token.value), None)
