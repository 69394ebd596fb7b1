"""What a purge with children leaves, in plain Python on the rows: the rules alone, with none of batchops in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.services.database import Database

Rows = dict[str, list[dict[str, Any]]]
"""By table."""


@dataclass(frozen=True)
class Refers:
    """`columns` of `child` refer to `referred` of `parent`."""

    child: str
    columns: tuple[str, ...]
    parent: str
    referred: tuple[str, ...]
    action: str = "delete"
    holds: Callable[[Mapping[str, Any]], bool] = lambda _: True
    """What a row must be for it to refer to a parent."""

    def value(self, row: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """What the row refers to; None for nothing."""
        value = tuple(row[name] for name in self.columns)
        return None if None in value or not self.holds(row) else value


Matches = Callable[[Mapping[str, Any]], bool]


def gone(rows: Rows, root: str, matches: Matches, edges: Sequence[Refers]) -> Rows:
    """The rows that go, as they were before."""
    going = _going(rows, root, matches, edges)
    return {table: [row for i, row in enumerate(some) if (table, i) in going] for table, some in rows.items()}


def left(rows: Rows, root: str, matches: Matches, edges: Sequence[Refers]) -> Rows:
    """The rows after it: all that refer to a row that goes go too, or are set to NULL."""
    going = _going(rows, root, matches, edges)
    result = {
        table: [dict(row) for i, row in enumerate(some) if (table, i) not in going] for table, some in rows.items()
    }
    for edge in edges:
        gone = _referred(rows, edge, going)
        for row in result[edge.child] if edge.action == "null" else ():
            if edge.value(row) in gone:
                row.update(dict.fromkeys(edge.columns))
    return result


def _going(rows: Rows, root: str, matches: Matches, edges: Sequence[Refers]) -> set[tuple[str, int]]:
    """Table and place of each row that goes."""
    going = {(root, i) for i, row in enumerate(rows[root]) if matches(row)}
    while True:
        more = set[tuple[str, int]]()
        for edge in edges:
            if edge.action == "delete":
                gone = _referred(rows, edge, going)
                more |= {(edge.child, i) for i, row in enumerate(rows[edge.child]) if edge.value(row) in gone}
        if more <= going:
            break
        going |= more
    return going


def _referred(rows: Rows, edge: Refers, going: set[tuple[str, int]]) -> set[tuple[Any, ...]]:
    found = (
        tuple(row[name] for name in edge.referred)
        for i, row in enumerate(rows[edge.parent])
        if (edge.parent, i) in going
    )
    return {value for value in found if None not in value}


def orphans(rows: Rows, edges: Sequence[Refers]) -> dict[str, int]:
    """Rows that refer to nothing, by edge."""
    found = {}
    for edge in edges:
        there = {tuple(row[name] for name in edge.referred) for row in rows[edge.parent]}
        lost = sum(value is not None and value not in there for value in map(edge.value, rows[edge.child]))
        if lost:
            found[f"{edge.child}.{','.join(edge.columns)}"] = lost
    return found


def read(database: Database, tables: Mapping[str, Sequence[str]]) -> Rows:
    """The rows as they are, in one snapshot, each table by its columns and in their order."""
    found = {}
    with database.engine.connect() as connection:
        if database.backend == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        if database.backend == "sqlite":
            connection.exec_driver_sql("BEGIN")  # else each SELECT is a snapshot of its own
        for table, columns in tables.items():
            listed = ", ".join(columns)
            result = connection.exec_driver_sql(f"SELECT {listed} FROM {table} ORDER BY {listed}")
            found[table] = [dict(zip(columns, row, strict=True)) for row in result]
    return found
