"""Finds the rows of a component that are deleted together: given rows, and the rows of it that refer to them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from batchops.bulk.children.circles import CircleTooLargeError
from batchops.bulk.children.graph import Component, Edge, name_of
from batchops.bulk.children.shape import FamilyShapes, Row
from batchops.bulk.children.statements import FamilyStatements
from batchops.db.facts import TableName
from batchops.db.foreign_keys import ForeignKeys
from batchops.db.types import KeyValue
from batchops.errors import RowRefusedError

MOST_GENERATIONS = 10_000
"""The longest chain of rows that refer to each other; a parent with a longer one is rejected."""
DEPTH = 200
"""How many generations one statement reads if a LIMIT does not end its recursion."""
NARROW = 4
"""Such a statement is used if a batch may change at least this many times the rows of one generation."""
_READS = 3
"""How often rows are read if others change them before they are locked."""
Rows = Mapping[TableName, list[Row]]
_Named = tuple[TableName, KeyValue]


@dataclass(frozen=True)
class Members:
    """Rows of a component, with the rows of the component that refer to them."""

    rows: dict[TableName, dict[KeyValue, Row]]
    deepest: Rows | None = None
    """The rows that were found last, if there are more rows than may be changed; else None."""

    @property
    def number(self) -> int:
        return sum(map(len, self.rows.values()))


@dataclass(frozen=True)
class Room:
    """How many rows of a component may be changed, and how many of these may be of one of its tables."""

    rows: int
    table: TableName | None = None
    of_table: int = 0

    def holds(self, members: Members) -> bool:
        """Whether there is room for these members."""
        few = self.table is None or len(members.rows.get(self.table, {})) <= self.of_table
        return few and members.number <= self.rows

    def with_seeds(self, seeds: Rows) -> "Room":
        """Return the room, enlarged to hold at least the seeds."""
        rows = max(self.rows, sum(map(len, seeds.values())))
        of_table = max(self.of_table, 0 if self.table is None else len(seeds.get(self.table, [])))
        return replace(self, rows=rows, of_table=of_table)

    def some(self, rows: Rows) -> Rows:
        """Return the last of these rows, no more than there is room for, of the one table that has most of them."""
        most = {name: min(self.rows, self.of_table) if name == self.table else self.rows for name in rows}
        some = {name: found[-most[name] :] for name, found in rows.items() if found and most[name]}
        name = max(some, key=lambda name: len(some[name]))
        return {name: some[name]}


class MemberSearch:
    """Finds members inside the transaction of a batch."""

    def __init__(self, foreign_keys: ForeignKeys, statements: FamilyStatements, shapes: FamilyShapes) -> None:
        self._foreign_keys = foreign_keys
        self._statements = statements
        self._shapes = shapes
        self._generations = 0
        self.seconds = 0.0
        """Seconds that were spent on finding the deepest rows where there were more than may be changed."""

    def of(self, component: Component, seeds: Rows, room: Room) -> tuple[Members, Members]:
        """Return the seeds with all rows that refer to them; and the deepest of these, which can be deleted by itself.

        Both are the same object if all of the rows may be changed.
        """
        self._generations, begun = 0, time.perf_counter()
        found = every = self._closure(component, seeds, room)
        before, alone = set[_Named](), set[_Named]()
        while found.deepest is not None:
            deepest = found.deepest
            names = {(name, self._key(name, row)): row for name, rows in deepest.items() for row in rows}
            if again := next((named for named in names if named in before), None):
                # It refers to another row of its generation, or, in a circle, to itself. Following it alone tells.
                if again in alone:
                    raise CircleTooLargeError(component)
                alone.add(again)
                deepest, names, before = {again[0]: [names[again]]}, {again: names[again]}, set()
            before |= names.keys()
            last = time.perf_counter()
            found = self._closure(component, deepest, room)
            if found.deepest is None:
                self.seconds += last - begun
        return every, found

    def _closure(self, component: Component, seeds: Rows, room: Room) -> Members:
        """Return the seeds with all rows of the component that refer to them; stop where there is no more room."""
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
        """Add the rows that refer to the newest ones to `found`. Return those that were not found before.

        In a component of one table, one statement may read rows of several generations.
        """
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
        """Whether one statement reads all rows of the component, and stops at its LIMIT."""
        return len(component.tables) == 1 and self._foreign_keys.stops_early

    def _reads_depths(self) -> bool:
        """Whether a statement may read several generations: the rows look like chains, and not like a wide tree.

        A statement would read a wide tree whole.
        """
        return self._generations > 0 and self._shapes.narrow

    def _key(self, name: TableName, row: Row) -> KeyValue:
        return self._shapes.of(name).key_of(row)

    def _referring(self, edge: Edge, parents: list[Row], most: int) -> Iterator[Row]:
        """Yield at most `most` rows that refer to the parents by the edge."""
        shape, statements = self._shapes.of(name_of(edge.child)), self._statements
        for part in self._parts(edge, parents):
            rows = statements.rows(shape, statements.along(edge, part), most)
            yield from rows
            most -= len(rows)
            if most <= 0:
                return

    def _below(self, component: Component, parents: list[Row], most: int) -> Iterator[Row]:
        """Yield rows that refer to the parents by the table's references to itself, and rows that refer to those."""
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
