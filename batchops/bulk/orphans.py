"""Finds and counts orphans, rows that refer to a row that does not exist; and makes the purges that delete them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from batchops.bulk.children.discover import doubtful_edges
from batchops.bulk.children.edge_text import AskedEdges
from batchops.bulk.children.graph import Edge, name_of
from batchops.bulk.children.order import parents_first
from batchops.db.database import Database
from batchops.db.lookup import find_table
from batchops.db.table import quoted
from batchops.db.value_formats import as_text
from batchops.sql.selection import user_sql

_PARENT = "batchops_parent"
_SHOWN = 3


@dataclass(frozen=True)
class Orphans:
    """The rows of one table whose parent, by one edge, is gone."""

    edge: Edge
    condition: str
    """The condition for these rows, for --where."""
    rows: int | None
    """How many there are; None if they could not be counted."""
    first: tuple[str, ...] = ()
    """The keys of some of them."""
    problem: str = ""
    """Why they could not be counted."""

    @property
    def why(self) -> str:
        """Why the catalogue does not guarantee that there are none."""
        if self.edge.declared:
            return "declared by --child"
        if self.edge.parent.kind == "missing":
            return "its parent table is gone"
        return "a foreign key that is not enforced" if not self.edge.enforced else "a foreign key that may not hold"

    @property
    def can_go(self) -> bool:
        """Whether they can be deleted: SQLite refuses that if the parent table is missing."""
        return self.edge.parent.kind != "missing"

    def document(self) -> dict[str, Any]:
        """Return the orphans for programs."""
        edge = self.edge
        return {
            "table": edge.child.label,
            "columns": list(edge.columns),
            "parent": edge.parent.label,
            "referred": list(edge.referred),
            "constraint": edge.constraint,
            "why": self.why,
            "rows": self.rows,
            "first": list(self.first),
            "problem": self.problem or None,
            "condition": self.condition,
        }


def orphans(
    connection: sa.Connection, database: Database, table: str | None, asked: AskedEdges, seconds: float
) -> Iterator[Orphans]:  # fmt: skip
    """Yield the orphans of every table or of one, by edge, parents before their children.

    Counting an edge takes at most `seconds`.
    """
    wanted = None if table is None else name_of(find_table(connection, database.backend, table))
    for edge in parents_first(doubtful_edges(connection, database, wanted, asked)):
        yield _counted(connection, database, edge, seconds)


def to_delete(found: Sequence[Orphans]) -> tuple[Orphans, ...]:
    """Return those with rows, and those that get some when the rows of their parents are deleted."""
    deleted: set[tuple[str | None, str]] = set()
    chosen = []
    for one in found:
        if one.can_go and (one.rows != 0 or name_of(one.edge.parent) in deleted):
            deleted.add(name_of(one.edge.child))
            chosen.append(one)
    return tuple(chosen)


def purge_options(one: Orphans) -> Mapping[str, Any]:
    """Return the options of the purge that deletes these orphans."""
    child = one.edge.child
    named = child.name if child.schema is None else f"{child.schema}.{child.name}"
    return {"table": _written(named, child.schema, child.name), "where": one.condition}


def _written(plain: str, schema: str | None, name: str) -> str:
    """Return the table's name as the command line takes it: in quotes if a dot is part of a name."""
    if "." not in name and "." not in (schema or ""):
        return plain
    return ".".join('"' + part.replace('"', '""') + '"' for part in (schema, name) if part is not None)


def _counted(connection: sa.Connection, database: Database, edge: Edge, seconds: float) -> Orphans:
    condition = orphan_condition(database, edge)
    table = edge.child
    names = table.known_by if set(table.known_by) <= set(table.column_names) else ()
    columns = [table.clause.c[quoted(name)] for name in names] or [sa.literal_column("1")]
    rows: sa.Select[Any] = sa.select(*columns).select_from(table.clause).where(user_sql(f"({condition})"))
    counted = database.backend.facts.count_within(connection, rows, seconds)
    first = connection.execute(rows.limit(_SHOWN)).all() if counted and names else []
    shown = (", ".join(f"{name}={as_text(value)}" for name, value in zip(names, row, strict=True)) for row in first)
    return Orphans(edge, condition, counted, tuple(shown), "" if counted is not None else _problem(database, edge))


def _problem(database: Database, edge: Edge) -> str:
    """Return why the orphans could not be counted: a missing right, else the time."""
    with database.reading() as connection:
        role = database.backend.catalog.server(connection).role
    for table, columns in ((edge.child, edge.columns), (edge.parent, edge.referred)):
        missing = database.missing_right(table, role, [("SELECT", columns)])
        if missing is not None:
            return f"{missing.message} Hint: {missing.hint(database.engine.dialect)}"
    return "counting took too long: raise --statement-timeout"


def orphan_condition(database: Database, edge: Edge) -> str:
    """Return the condition for orphans along the edge.

    A row with NULL in any of the columns refers to nothing, as in every database's own MATCH SIMPLE.
    """
    mark = database.backend.sql_functions.quote

    def name(*parts: str | None) -> str:
        return ".".join(mark + part.replace(mark, 2 * mark) + mark for part in parts if part is not None)

    own = [name(edge.child.name, column) for column in edge.columns]
    conditions = [] if edge.condition is None else [f"({edge.condition})"]
    conditions += [f"{column} IS NOT NULL" for column in own]
    if edge.parent.kind != "missing":
        pairs = zip(own, edge.referred, strict=True)
        joined = " AND ".join(f"{name(_PARENT, referred)} = {column}" for column, referred in pairs)
        parent = name(edge.parent.schema, edge.parent.name)
        conditions.append(f"NOT EXISTS (SELECT 1 FROM {parent} AS {name(_PARENT)} WHERE {joined})")
    return " AND ".join(conditions)
