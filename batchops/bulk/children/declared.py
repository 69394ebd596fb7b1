"""Checks the edges that a person declares against the catalogue: tables and columns must exist, types must match."""

import re
from collections.abc import Iterator, Mapping, Sequence

import sqlalchemy as sa

from batchops.bulk.children.edge_text import DeclaredEdge, EdgeChoice, End
from batchops.bulk.children.graph import Edge, EdgeAction, columns_text, name_of
from batchops.db.database import Database
from batchops.db.facts import TableName
from batchops.db.foreign_keys import ForeignKey
from batchops.db.literals import Value
from batchops.db.lookup import find_table, no_column
from batchops.db.table import Table
from batchops.errors import RefusedError, UsageError, did_you_mean
from batchops.sql.expression import parse_condition

_KINDS = (
    (
        "a number",
        re.compile(r"(?<![a-z])(big|medium|small|tiny)?int(eger)?\d?\b|numeric|decimal|number", re.IGNORECASE),
    ),
    ("a text", re.compile(r"char|text|clob|enum|name\b|inet|cidr", re.IGNORECASE)),
    ("a floating number", re.compile(r"real|floa|doub", re.IGNORECASE)),
    ("a date or time", re.compile(r"date|time", re.IGNORECASE)),
    ("bytes", re.compile(r"blob|binary|bytea", re.IGNORECASE)),
)
_TABLES = ("table", "partitioned")


def declared_keys(
    connection: sa.Connection, database: Database, declared: Sequence[DeclaredEdge], params: Mapping[str, Value]
) -> Iterator[tuple[str | None, ForeignKey]]:  # fmt: skip
    """Yield the condition of each declared edge, and the edge as a foreign key with the catalogue's names."""
    for edge in declared:
        what = f'--child "{edge.text}"'
        child, columns = _found(connection, database, edge.child, what)
        parent, referred = _found(connection, database, edge.parent, what)
        for own, other in zip(columns, referred, strict=True):
            _comparable(child, own, parent, other, what)
        condition = None if edge.condition is None else _condition(database, child, edge.condition, what, params)
        names = name_of(child), columns, name_of(parent), referred
        yield condition, ForeignKey(None, *names, on_delete="", validated=False, enforced=False)


def _found(connection: sa.Connection, database: Database, end: End, flag: str) -> tuple[Table, tuple[str, ...]]:
    table = find_table(connection, database.backend, end.table)
    if table.kind == "foreign table":
        raise RefusedError(
            f'{flag}: "{table.label}" is a foreign table: its rows lie on another server, and no transaction here '
            "covers them.",
            "leave it out, and purge it on its own server.",
        )
    if table.kind not in _TABLES:
        raise RefusedError(f'{flag}: "{table.label}" is a {table.kind}, not a table.', "name the table behind it.")
    return table, tuple(_column(table, name, flag) for name in end.columns)


def _column(table: Table, name: str, flag: str) -> str:
    exact = next((c for c in table.column_names if c == name), None)
    found = exact or next((c for c in table.column_names if c.casefold() == name.casefold()), None)
    if found is None:
        raise no_column(flag, table, name)
    return found


def _comparable(child: Table, own: str, parent: Table, other: str, flag: str) -> None:
    """Raise UsageError for columns of two kinds: comparing them is an error, never true, or cannot use an index."""
    types = child.column(own).stored, parent.column(other).stored
    kinds = [_kind(one) for one in types]
    if "" not in types and kinds[0] != kinds[1]:
        raise UsageError(
            f"{flag}: {child.label}.{own} is {types[0]} and {parent.label}.{other} is {types[1]}: they cannot be "
            "compared by an index.",
            "declare columns of one type.",
        )


def _kind(spelled: str) -> str:
    """Return the kind of values that a type holds, or the type itself: only values of one kind can be compared."""
    if spelled.endswith("]"):
        return spelled.lower()
    name = spelled.partition("(")[0]
    return next((kind for kind, names in _KINDS if names.search(name)), name.lower())


def _condition(database: Database, child: Table, text: str, flag: str, params: Mapping[str, Value]) -> str:
    functions = database.backend.sql_functions
    condition = parse_condition(
        text, functions=functions, table=child.name, columns=child.column_names, what=flag, params=params
    )
    if condition.time_functions or not condition.reads_row_alone(functions):
        raise UsageError(
            f"{flag}: the condition may read nothing but columns of {child.label}: an edge must mean the same in "
            "every batch.",
            "for example where owner_type = 'Post'",
        )
    return condition.text


class Choices:
    """What --edge chose, found by an edge's child, columns and parent."""

    def __init__(self, connection: sa.Connection, database: Database, chosen: Sequence[EdgeChoice]) -> None:
        self._chosen = [(one, _ends(connection, database, one)) for one in chosen]
        self._used: set[str] = set()
        for i, (one, ends) in enumerate(self._chosen):
            if any(ends == before for _, before in self._chosen[:i]):
                raise UsageError(f'--edge "{one.text}": something was chosen for this edge before.', "choose once.")

    def action(self, child: TableName, columns: Sequence[str], parent: TableName) -> EdgeAction | None:
        """Return the action that was chosen for the edge; None if none was."""
        for one, (table, own, other) in self._chosen:
            if (table, own) == (child, tuple(columns)) and other in (None, parent):
                self._used.add(one.text)
                return one.action
        return None

    def all_used(self, edges: Sequence[Edge]) -> None:
        """Raise UsageError for a choice that matches no edge of the graph."""
        for one, _ in self._chosen:
            if one.text not in self._used:
                known = [edge.source for edge in edges]
                listed = f"the graph has {', '.join(known[:12])}{' …' if len(known) > 12 else ''}" if known else ""
                near = did_you_mean(f"{one.child.table}.{columns_text(one.child.columns)}", known)
                raise UsageError(f'--edge "{one.text}": the graph has no such edge.', near or listed)


def _ends(
    connection: sa.Connection, database: Database, choice: EdgeChoice
) -> tuple[TableName, tuple[str, ...], TableName | None]:  # fmt: skip
    flag = f'--edge "{choice.text}"'
    child = find_table(connection, database.backend, choice.child.table)
    columns = tuple(_column(child, name, flag) for name in choice.child.columns)
    if choice.parent is None:
        return name_of(child), columns, None
    return name_of(child), columns, name_of(find_table(connection, database.backend, choice.parent.table))
