"""The strategy's statements at the start, middle and end, as the server would run them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from batchops.bulk.operations import Operation
from batchops.bulk.strategies.cursor import Cursor
from batchops.bulk.strategies.strategy import Batch, Strategy


@dataclass(frozen=True)
class Probe:
    """A writing statement at some place of the run."""

    place: str
    """start, middle or end."""
    statement: sa.Delete | sa.Update | sa.Select[Any]
    explainable: sa.Delete | sa.Update | sa.Select[Any]
    """The statement itself, or a SELECT of the same rows if the server cannot explain a writing statement."""


@dataclass(frozen=True)
class Explained:
    """A writing statement with its values in place, and the server's own plan of it."""

    place: str
    """start, middle or end of the range."""
    statement: str
    explain: tuple[str, ...]


def probes(
    connection: sa.Connection, strategy: Strategy, operation: Operation, cursor: Cursor, *, writes: bool
) -> Iterator[Probe]:
    """Yield the statements at the start, the middle and the end of what is left to do, as far as these differ."""
    for place, at in _places(connection, strategy, cursor):
        batch = strategy.first(connection, at)
        if batch is not None:
            statement = operation.statement(batch)
            yield Probe(place, statement, statement if writes else operation.rehearsal(batch))


def whole(operation: Operation, batch: Batch, *, writes: bool) -> Probe:
    """Return the statement without its window, if there is nothing to do, so that the server at least checks it."""
    statement = operation.statement(batch)
    return Probe("start", statement, statement if writes else operation.rehearsal(batch))


def _places(connection: sa.Connection, strategy: Strategy, cursor: Cursor) -> Iterator[tuple[str, Cursor]]:
    yield "start", cursor
    if cursor.over:
        return
    ranges = cursor.ranges
    if len(ranges) > 2:
        yield "middle", Cursor((ranges[len(ranges) // 2],))
    elif (middle := strategy.middle(connection, ranges[0])) is not None:
        yield "middle", Cursor((middle,))
    if (last := strategy.last(connection, ranges[-1])) is not None:
        yield "end", Cursor((last,))
