"""The first statements of a walk, and those further in and at its end, as the server would run them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from batchops.bulk.operations import Operation
from batchops.bulk.strategies import Walk
from batchops.bulk.strategies.batch import Part
from batchops.bulk.strategies.cursor import Cursor

_DEAR_TO_SPLIT = ("index", "limit")
"""Walks whose middle only reading would find."""


@dataclass(frozen=True)
class Probe:
    """A writing statement somewhere on the way."""

    place: str
    """start, middle or end."""
    statement: sa.Delete | sa.Update
    explainable: sa.Delete | sa.Update | sa.Select[Any]
    """The same, or a SELECT of the same rows where no writing can be explained."""


def probes(
    connection: sa.Connection, walk: Walk, operation: Operation, cursor: Cursor, *, writes: bool
) -> Iterator[Probe]:
    """At the start, the middle and the end of what is left to walk, where these differ."""
    for place, at in _places(connection, walk, cursor):
        part = walk.first(connection, at)
        if part is not None:
            statement = operation.statement(part)
            yield Probe(place, statement, statement if writes else operation.rehearsal(part))


def whole(operation: Operation, part: Part, *, writes: bool) -> Probe:
    """For a walk that has nothing to do: the statement without its window, so that the server reads it once."""
    statement = operation.statement(part)
    return Probe("start", statement, statement if writes else operation.rehearsal(part))


def _places(connection: sa.Connection, walk: Walk, cursor: Cursor) -> Iterator[tuple[str, Cursor]]:
    yield "start", cursor
    if cursor.over:
        return
    ranges = cursor.ranges
    if len(ranges) > 2:
        yield "middle", Cursor((ranges[len(ranges) // 2],))
    elif walk.name not in _DEAR_TO_SPLIT and (halves := walk.split(connection, ranges[0])):
        yield "middle", Cursor((halves[1],))
    if (last := walk.last(connection, ranges[-1])) is not None:
        yield "end", Cursor((last,))
