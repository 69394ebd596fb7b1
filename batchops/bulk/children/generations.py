"""Rows of a table that refer to each other, in an order in which each can go by itself."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from batchops.bulk.children.graph import Edge
from batchops.bulk.children.shape import Row, Shape
from batchops.db.types import KeyValue


def generations(shape: Shape, edges: Sequence[Edge], rows: Sequence[Row]) -> tuple[list[list[Row]], list[Row]]:
    """Lists of rows, each referred to by rows of earlier lists only; and the rows of circles, which have no order."""
    parents = [_parents(shape, edge, rows) for edge in edges]
    waiting = {shape.key_of(row): row for row in rows}
    referred = [[above[key] for above in parents if key in above] for key in waiting]
    above = dict(zip(waiting, referred, strict=True))
    children = Counter(parent for some in referred for parent in some)
    ordered: list[list[Row]] = []
    now = [key for key in waiting if not children[key]]
    while now:
        ordered.append([waiting.pop(key) for key in now])
        after: list[KeyValue] = []
        for key in now:
            for parent in above[key]:
                children[parent] -= 1
                if not children[parent]:
                    after.append(parent)
        now = after
    return ordered, list(waiting.values())


def _parents(shape: Shape, edge: Edge, rows: Sequence[Row]) -> dict[KeyValue, KeyValue]:
    """By a row's key, that of the other row among these that it refers to."""
    places = [shape.columns.index(name) for name in edge.columns]
    referred = [shape.columns.index(name) for name in edge.referred]
    by_value = {_compared(row, referred): shape.key_of(row) for row in rows}
    found = ((shape.key_of(row), by_value.get(_compared(row, places))) for row in rows)
    return {key: parent for key, parent in found if parent is not None and parent != key}


def _compared(row: Row, places: Sequence[int]) -> tuple[Any, ...]:
    """Letters of either case are the same to some databases."""
    values = (row[place] for place in places)
    return tuple(value.casefold() if isinstance(value, str) else value for value in values)
