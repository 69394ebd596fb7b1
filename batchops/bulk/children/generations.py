"""Orders rows of a table that refer to each other, so that each can be deleted by itself."""

from collections import Counter
from collections.abc import Mapping, Sequence

from batchops.bulk.children.graph import Edge
from batchops.bulk.children.shape import Row, Shape
from batchops.db.types import KeyValue

Above = Mapping[KeyValue, KeyValue]
"""Maps a row's key to the key of the row that it refers to by one edge, which may be the row itself."""


def generations(shape: Shape, parents: Sequence[Above], rows: Sequence[Row]) -> tuple[list[list[Row]], list[Row]]:
    """Return lists of rows that only rows of earlier lists refer to; and the rows of circles, which have no order."""
    waiting = {shape.key_of(row): row for row in rows}
    referred = [[above[key] for above in parents if above.get(key, key) != key] for key in waiting]
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


def above_by_value(shape: Shape, edge: Edge, rows: Sequence[Row]) -> Above:
    """Return which of the rows refers to which, by their values alone; for columns that compare exactly."""
    places = [shape.columns.index(name) for name in edge.columns]
    referred = [shape.columns.index(name) for name in edge.referred]
    by_value = {tuple(row[place] for place in referred): shape.key_of(row) for row in rows}
    found = ((shape.key_of(row), by_value.get(tuple(row[place] for place in places))) for row in rows)
    return {key: parent for key, parent in found if parent is not None}
