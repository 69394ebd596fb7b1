"""The mark that a purge with children may set on its rows first: --mark "col = value", checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from batchops.bulk.children.graph import Graph
from batchops.db.backend import Backend
from batchops.db.database import Database
from batchops.db.literals import Value
from batchops.db.table import Table, quoted
from batchops.errors import RefusedError, UsageError
from batchops.sql.expression import parse_assignment
from batchops.sql.selection import Selection, user_sql


class MarkFirstError(Exception):
    """A family is too large for one batch, and its parent has to be marked first."""


@dataclass(frozen=True)
class Mark:
    """A column and its value. Once a row is marked, it has to have the mark, and no longer to match the condition."""

    column: str
    value: str

    def selection(self, backend: Backend, table: Table) -> Selection:
        """Return the selection of the rows that have the mark."""
        mark = backend.sql_functions.quote
        name = mark + self.column.replace(mark, 2 * mark) + mark
        return Selection(table, f"{name} = ({self.value})")

    def statement(self, table: Table, where: sa.ColumnElement[bool]) -> sa.Update:
        """Return the UPDATE that sets the mark."""
        column = table.called.c[quoted(self.column)]
        return table.alone(sa.update(table.called)).where(where).values({column: user_sql(f"({self.value})")})


def checked_mark(
    database: Database, graph: Graph, text: str, key: Sequence[str], params: Mapping[str, Value]
) -> Mark:  # fmt: skip
    """Return the mark; UsageError or RefusedError for a column that cannot be set to it, or by which rows are found."""
    table, functions = graph.root, database.backend.sql_functions
    mark = parse_assignment(
        text, functions=functions, table=table.name, columns=table.column_names, what="--mark", params=params
    )
    if table.column(mark.column).generated:
        raise UsageError(f'--mark: column "{mark.column}" is generated; the database itself computes it.')
    if mark.column in key or any(mark.column in edge.referred for edge in graph.to(table)):
        raise RefusedError(
            f'--mark: rows of "{table.label}" are found by "{mark.column}", so it has to stay as it is.',
            "mark another column.",
        )
    value = mark.expression
    if value.subquery or value.fresh or value.time_functions or value.text.upper() in ("NULL", "DEFAULT"):
        raise UsageError(
            "--mark: the rows are known again by the value, also by a later process of the run.",
            "use a literal: status = 'going'",
        )
    return Mark(mark.column, value.text)
