"""Which rows of a component go together: those that are to go, and those of it that refer to them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from batchops.bulk.children.graph import Component, Edge, name_of
from batchops.bulk.children.shape import FamilyShapes, Row
from batchops.bulk.children.statements import FamilyStatements
from batchops.db.facts import TableName
from batchops.db.foreign_keys import ForeignKeys
from batchops.db.types import KeyValue
from batchops.errors import RowRefusedError

MOST_GENERATIONS = 10_000
"""Rows that refer to each other in a line, of a table that refers to itself, beyond which a parent is rejected."""
DEPTH = 200
"""Generations that one statement reads where a LIMIT does not end it."""
NARROW = 4
"""Times as many rows as a generation has that a batch may change, for such a statement."""
_READS = 3
"""How often rows are read again that others change before they are locked."""
Rows = Mapping[TableName, list[Row]]
_Named = tuple[TableName, KeyValue]


class CircleTooLargeError(RowRefusedError):
    """Rows refer to each other in a circle; no part of it can be deleted by itself."""

    def __init__(self, component: Component, most: int) -> None:
        names = ", ".join(edge.name for edge in component.edges)
        super().__init__(
            f"rows refer to each other in a circle by {names} that is larger than a batch of {most:,} rows",
            "raise --batch-size, or set the reference of one of them to NULL.",
        )


@dataclass(frozen=True)
class Members:
    """Rows of a component, with those of it that refer to them."""

    rows: dict[TableName, dict[KeyValue, Row]]
    deepest: Rows | None = None
    """Where they are more than may be changed: the last that were found."""

    @property
    def number(self) -> int:
        return sum(map(len, self.rows.values()))


@dataclass(frozen=True)
class Room:
    """What may be changed of a component: so many rows, and so many of one of its tables among them."""

    rows: int
    table: TableName | None = None
    of_table: int = 0

    def holds(self, members: Members) -> bool:
        """Whether these are no more."""
        few = self.table is None or len(members.rows.get(self.table, {})) <= self.of_table
        return few and members.number <= self.rows

    def with_seeds(self, seeds: Rows) -> "Room":
        """At least the rows that are to go."""
        rows = max(self.rows, sum(map(len, seeds.values())))
        of_table = max(self.of_table, 0 if self.table is None else len(seeds.get(self.table, [])))
        return replace(self, rows=rows, of_table=of_table)

    def some(self, rows: Rows) -> Rows:
        """No more of them than that, of one table, from the last."""
        most = {name: min(self.rows, self.of_table) if name == self.table else self.rows for name in rows}
        some = {name: found[-most[name] :] for name, found in rows.items() if found and most[name]}
        name = max(some, key=lambda name: len(some[name]))
        return {name: some[name]}


class MemberSearch:
    """Inside the transaction of a batch."""

    def __init__(self, foreign_keys: ForeignKeys, statements: FamilyStatements, shapes: FamilyShapes) -> None:
        self._foreign_keys = foreign_keys
        self._statements = statements
        self._shapes = shapes
        self._generations = 0
        self.seconds = 0.0
        """What it took to find the deepest of rows that are more than may be changed."""

    def of(self, component: Component, seeds: Rows, room: Room) -> tuple[Members, Members]:
        """The seeds with all rows that refer to them; and what of it can be deleted by itself, from the deepest.

        The same where that is all: where they are no more than may be changed.
        """
        self._generations, begun = 0, time.perf_counter()
        found = every = self._closure(component, seeds, room)
        before, alone = set[_Named](), set[_Named]()
        while found.deepest is not None:
            deepest = found.deepest
            names = {(name, self._key(name, row)): row for name, rows in deepest.items() for row in rows}
            if again := next((named for named in names if named in before), None):
                # Below the others of its generation, or below itself: that shows once it alone is followed.
                if again in alone:
                    raise CircleTooLargeError(component, room.rows)
                alone.add(again)
                deepest, names, before = {again[0]: [names[again]]}, {again: names[again]}, set()
            before |= names.keys()
            last = time.perf_counter()
            found = self._closure(component, deepest, room)
            if found.deepest is None:
                self.seconds += last - begun
        return every, found

    def _closure(self, component: Component, seeds: Rows, room: Room) -> Members:
        """The seeds with all rows of the component that refer to them, as far as so many may be changed."""
        rows = {name: {self._key(name, row): row for row in some} for name, some in seeds.items()}
        found, newest, room = Members(rows), seeds, room.with_seeds(seeds)
        while newest and component.edges:
            further = self._generation(component, found, newest, room.rows)
            if not self._generations:
                self._shapes.narrow = NARROW * sum(map(len, further.values())) <= room.rows
            self._generations += bool(further)
            if self._generations > MOST_GENERATIONS:
                raise RowRefusedError(f"more than {MOST_GENERATIONS:,} rows refer to each other in a line")
            if further and not room.holds(found):
                return Members(found.rows, room.some(further))
            newest = {} if self._all_at_once(component) else further
        return found

    def _generation(self, component: Component, found: Members, newest: Rows, most: int) -> Rows:
        """Rows that refer to the newest, and were not found before; of one table where it can with those below them."""
        further: dict[TableName, list[Row]] = {}
        for table, rows in self._found_rows(component, found, newest, most):
            known = found.rows.setdefault(table, {})
            for row in rows:
                key = self._key(table, row)
                if key not in known:
                    known[key] = row
                    further.setdefault(table, []).append(row)
        return further

    def _found_rows(
        self, component: Component, found: Members, newest: Rows, most: int
    ) -> Iterator[tuple[TableName, Iterator[Row]]]:  # fmt: skip
        if len(component.tables) == 1 and (self._foreign_keys.stops_early or self._reads_depths()):
            name = name_of(component.tables[0])
            yield name, self._below(component, newest.get(name, []), most + len(found.rows[name]) + 1)
            return
        for edge in component.edges:
            name = name_of(edge.child)
            known = found.rows.setdefault(name, {})
            yield name, self._referring(edge, newest.get(name_of(edge.parent), []), most + len(known) + 1)

    def _all_at_once(self, component: Component) -> bool:
        """Whether one statement reads all rows of the component, and no more than are asked for."""
        return len(component.tables) == 1 and self._foreign_keys.stops_early

    def _reads_depths(self) -> bool:
        """Whether the rows look like lines rather than like a wide tree, which a statement would read whole."""
        return self._generations > 0 and self._shapes.narrow

    def _key(self, name: TableName, row: Row) -> KeyValue:
        return self._shapes.of(name).key_of(row)

    def _referring(self, edge: Edge, parents: list[Row], most: int) -> Iterator[Row]:
        """Rows that refer to these by the edge."""
        shape, statements = self._shapes.of(name_of(edge.child)), self._statements
        for part in self._parts(edge, parents):
            rows = statements.rows(shape, statements.along(edge, part), most)
            yield from rows
            most -= len(rows)
            if most <= 0:
                return

    def _below(self, component: Component, parents: list[Row], most: int) -> Iterator[Row]:
        """Rows that refer to these by the table's references to itself, and those that refer to them."""
        shape, statements = self._shapes.of(name_of(component.tables[0])), self._statements
        width = len(shape.columns)
        depth = None if self._foreign_keys.stops_early else DEPTH
        for part in statements.parts(parents):
            for _ in range(_READS):
                rows = statements.below(component.own, shape, part, most, depth)[:most]
                if statements.hold(component.own, shape, rows):
                    break
            else:
                names = ", ".join(edge.name for edge in component.own)
                raise RowRefusedError(f"rows that refer to it by {names} are changed again and again")
            yield from (row[:width] for row in rows)
            most -= len(rows)
            if most <= 0:
                return

    def _parts(self, edge: Edge, parents: list[Row]) -> Iterator[Sequence[KeyValue]]:
        return self._statements.parts(self._shapes.of(name_of(edge.parent)).values(parents, edge.referred))
