"""Leaves out rows of a purge that other tables refer to without a rule: the database would refuse each of them."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.plan.pinned import ExcludedRows, Pinned
from batchops.db.database import Database
from batchops.db.facts import RESTRICT, Reference, TableName
from batchops.db.table import Table, quoted
from batchops.db.value_formats import as_text
from batchops.sql.selection import user_sql

_ALIAS = "batchops_referring"


@dataclass(frozen=True)
class ExcludedCount:
    """How many rows stay because of one reference, and of none before it, with some of their keys; None: unknown."""

    what: str
    rows: int | None
    names: tuple[str, ...] = ()


def without_referenced(
    database: Database, pinned: Pinned, table: Table, references: Sequence[Reference], changed: Set[TableName]
) -> Pinned:
    """Return the values without rows that are referred to, by an anti-join that uses the child's index.

    If the job changes the child too, by another reference, each batch would find something else. Then the condition
    stays, and the database refuses the rows one by one.
    """
    left_out, conditions = [], [] if pinned.condition is None else [f"({pinned.condition})"]
    for reference in _restricting(references):
        if (reference.child.schema, reference.child.name) in changed:
            continue
        refers = _refers(database, table, reference)
        # Without the rows of earlier references: a row that two tables refer to would count twice.
        left_out.append(ExcludedRows(reference.label, " AND ".join((*conditions, refers))))
        conditions.append(f"NOT {refers}")
    if not left_out:
        return pinned
    return replace(pinned, condition=" AND ".join(conditions), left_out=tuple(left_out))


def count_excluded(
    connection: sa.Connection, database: Database, table: Table, pinned: Pinned, seconds: float
) -> Iterator[ExcludedCount]:
    """Yield the rows that are left out, counted now, for `seconds` at most for each reference."""
    for one in pinned.left_out:
        # A table without any other key is followed by its rowid, which is none of its columns.
        names = table.known_by if set(table.known_by) <= set(table.column_names) else ()
        columns = [table.called.c[quoted(name)] for name in names] or [sa.literal_column("1")]
        rows: sa.Select[Any] = table.alone(sa.select(*columns).select_from(table.called)).where(user_sql(one.condition))
        counted = database.backend.facts.count_within(connection, rows, seconds)
        if counted == 0:
            continue
        first = connection.execute(rows.limit(3)).all() if counted else []
        shown = (
            ", ".join(f"{name}={as_text(value)}" for name, value in zip(names, row, strict=False)) for row in first
        )
        yield ExcludedCount(f"referenced by {one.what}", counted, tuple(name for name in shown if name))


def excluded_message(left_out: Sequence[ExcludedCount]) -> str:
    """Return what the end of a run says of the rows that stay."""
    parts: list[str] = []
    for one in left_out:
        further = " more" if parts else ""
        rows = f"{one.rows or 0:,}{further} row{'s' if one.rows != 1 else ''}"
        many = "An unknown number of rows" if one.rows is None else rows
        more = " …" if (one.rows or 0) > len(one.names) else ""
        parts.append(f"{many} {one.what} stay{' (' + ', '.join(one.names) + more + ')' if one.names else ''}")
    return "; ".join(parts) + "."


def _restricting(references: Sequence[Reference]) -> Iterator[Reference]:
    for reference in references:
        own = (reference.child.schema, reference.child.name) == (reference.parent.schema, reference.parent.name)
        if reference.direct and not own and reference.on_delete == RESTRICT and reference.indexed:
            yield reference


def _refers(database: Database, table: Table, reference: Reference) -> str:
    def name(*parts: str | None) -> str:
        mark = database.backend.sql_functions.quote
        return ".".join(mark + part.replace(mark, 2 * mark) + mark for part in parts if part is not None)

    own = table.alias or table.name
    pairs = zip(reference.columns, reference.referred, strict=True)
    joined = " AND ".join(f"{name(_ALIAS, column)} = {name(own, referred)}" for column, referred in pairs)
    child = name(reference.child.schema, reference.child.name)
    return f"EXISTS (SELECT 1 FROM {child} AS {name(_ALIAS)} WHERE {joined})"
