"""Removes families inside one transaction: first the rows that refer to given rows, deepest first, then the rows."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa

from batchops.bulk.children.circles import CircleTooLargeError, held, holds_circles
from batchops.bulk.children.generations import Above, above_by_value, generations
from batchops.bulk.children.graph import STOPPED, Component, Edge, name_of
from batchops.bulk.children.members import Members, MemberSearch, Room
from batchops.bulk.children.shape import FamilyShapes, Row, Shape, compares_exactly
from batchops.bulk.children.statements import FamilyStatements, Where
from batchops.bulk.execution import Removal
from batchops.db.backend import Backend
from batchops.db.table import Table
from batchops.db.types import KeyValue
from batchops.errors import RowRefusedError
from batchops.ledger.rejected_rows import KEEPS, NEEDED, NEEDED_BY_KEPT

MOST_LISTED = 5_000
"""Rows of a table that are listed at a time."""
ROUNDS = 3
"""How often the last children of a parent are deleted if others are found after them."""
VETO = "a trigger or rule left the row unchanged, without an error"


class Families:
    """Deletes rows with all rows that refer to them. It never changes more than `most` rows of all tables together."""

    def __init__(
        self, backend: Backend, connection: sa.Connection, shapes: FamilyShapes, removal: Removal, most: int,
        parents: int | None = None,
    ) -> None:  # fmt: skip
        self._backend = backend
        self._shapes = shapes
        self._removal = removal
        self._statements = FamilyStatements(backend, connection, removal)
        self._members = MemberSearch(backend.foreign_keys, self._statements, shapes)
        self._connection = connection
        self._root = shapes.component(shapes.graph.root)
        self._all = self.left = most
        """How many more rows may be changed."""
        self.parents = parents
        """How many more rows of the root may be deleted; None: as many as of all tables."""
        self.gone = 0
        """How many rows of the root are deleted."""
        self.changed: Counter[str] = Counter()
        """How many rows are deleted, by table; and, apart, how many are set to NULL."""

    def state(self) -> Callable[[], None]:
        """Return a function that resets the counts to their present values, after the database undid what follows."""
        counts = self.left, self.parents, self.gone
        changed, forget = self.changed.copy(), self._removal.state()

        def back() -> None:
            forget()
            self.left, self.parents, self.gone = counts
            self.changed = changed.copy()

        return back

    @property
    def searching(self) -> float:
        """Seconds that were spent on following rows that a later transaction deletes."""
        return self._members.seconds

    def remove(self, table: Table, rows: list[Row]) -> bool:
        """Delete the rows with all rows that refer to them.

        Return whether all are gone; else as many are deleted as may be.
        """
        component, seeds = self._shapes.component(table), {name_of(table): rows}
        while True:
            try:
                found, part = self._members.of(component, seeds, self._room(component))
            except CircleTooLargeError:
                if self.left < self._all:  # it may fit into the next transaction, which has changed nothing yet
                    return False
                if self._removal.exact or not self._open_circle(component, table, rows):
                    raise
                return False
            if not self._clear(component, part) or not self._room(component).holds(part):
                return False
            self._delete(component, part)
            if part is found:
                return True
            if not self._room(component).holds(part):  # to find a few rows more costs as much as a batch of them
                return False

    def _room(self, component: Component) -> Room:
        """Return how many rows of the component may be changed. `parents` limits rows of the root alone."""
        if self.parents is None or component is not self._root:
            return Room(self.left)
        if len(component.tables) == 1:
            return Room(min(self.left, self.parents))
        return Room(self.left, name_of(self._shapes.graph.root), self.parents)

    def _open_circle(self, component: Component, table: Table, rows: list[Row]) -> bool:
        """Set these rows' own references within the component to NULL. Return whether that changed any.

        References to the rows stay, and still lead to all other rows of the circle. A second call changes nothing and
        returns False: then the circle lies elsewhere.
        """
        before, shape = self.changed.total(), self._shapes.of(name_of(table))
        for edge in (edge for edge in component.edges if name_of(edge.child) == name_of(table) and edge.nulls):
            for part in self._statements.parts([shape.key_of(row) for row in rows]):
                where = (self._statements.named(shape, part), self._statements.refers(edge))
                self._count(_nulled(table), self._statements.set_null(table, edge.nulls, where)[0])
        return self.changed.total() > before

    def remove_matching(self, rows: list[Row]) -> tuple[bool, dict[KeyValue, str]]:
        """Delete rows of a table that refers to itself, with the rows that refer to them, as far as these match too.

        Return whether all could be looked at; and the rows that stay, each with its reason: rows that do not match
        refer to them, or to rows that refer to them.
        """
        root = self._shapes.graph.root
        component, seeds = self._shapes.component(root), {name_of(root): rows}
        found, part = self._members.of(component, seeds, Room(self.left))
        if part is not found and len(rows) > 1:
            return False, {}
        blocked = self._blocked(component.own, part.rows[name_of(root)])
        free = {key: row for key, row in part.rows[name_of(root)].items() if key not in blocked}
        self._delete(component, Members({name_of(root): free}))
        if part is not found and blocked:  # a row that stays also keeps the row that it refers to
            return True, {self._shapes.root.key_of(rows[0]): next(iter(blocked.values()))}
        return part is found, blocked

    def _blocked(self, edges: Sequence[Edge], rows: Mapping[KeyValue, Row]) -> dict[KeyValue, str]:
        """Return the rows that stay, with the reason: rows that do not match, or that stay too, refer to them."""
        shape, blocked = self._shapes.root, dict[KeyValue, str]()
        for edge in edges:
            for part in self._statements.parts(list(rows)) if edge.condition is not None else ():
                for key in self._statements.referred_by_others(edge, shape, part):
                    blocked.setdefault(key, f"{NEEDED}{edge.name}")
        waiting = list(blocked)
        every = [(edge, self._above(shape, edge, list(rows.values()))) for edge in edges] if waiting else []
        while waiting:
            key = waiting.pop()
            for edge, above in every:
                parent = above.get(key)
                if parent is not None and parent not in blocked:
                    blocked[parent] = f"{NEEDED_BY_KEPT}{edge.name}"
                    waiting.append(parent)
        return blocked

    def _above(self, shape: Shape, edge: Edge, rows: list[Row]) -> Above:
        """Return which of these rows refers to which other of them, by the edge of a table to itself."""
        if set(edge.columns) <= set(shape.columns) and compares_exactly(shape.table, (*edge.columns, *edge.referred)):
            return above_by_value(shape, edge, rows)
        keys = {shape.key_of(row) for row in rows}
        parts = self._statements.parts(list(keys))
        pairs = [pair for part in parts for pair in self._statements.references(edge, shape, part)]
        return {key: parent for key, parent in pairs if parent in keys}

    def _clear(self, component: Component, members: Members) -> bool:
        """Clear the rows of other components that refer to the members. Return whether none refers to them any more."""
        for edge in self._shapes.into(component):
            rows = list(members.rows.get(name_of(edge.parent), {}).values())
            for part in self._statements.parts(self._shapes.of(name_of(edge.parent)).values(rows, edge.referred)):
                if not self._clear_edge(edge, part):
                    return False
        return True

    def _clear_edge(self, edge: Edge, values: Sequence[KeyValue]) -> bool:
        where = self._statements.along(edge, values)
        if edge.action == "refuse":
            if self._statements.any(edge.child, where):
                keeps = "--stop-at" if edge.why == STOPPED else "--edge"
                raise RowRefusedError(f"{keeps}{KEEPS}{edge.child.label}, which refer to it by {edge.name}")
            return True
        if edge.action == "delete" and not self._shapes.leaf(edge.child):
            return self._clear_with_children(edge, where)
        if self.left <= 0:
            return not self._statements.any(edge.child, where)
        if edge.action == "null":
            rows, all_ = self._statements.set_null(edge.child, edge.nulls, where, self.left)
        else:
            rows, all_ = self._statements.delete_some(edge.child, where, self.left)
        self._count(_nulled(edge.child) if edge.action == "null" else edge.child.label, rows)
        if all_ and edge.child.may_veto and self._statements.any(edge.child, where):
            raise RowRefusedError(f"{VETO}: {edge.child.label}")
        return all_

    def _clear_with_children(self, edge: Edge, where: Where) -> bool:
        shape, rounds = self._shapes.of(name_of(edge.child)), 0
        while True:
            most = min(max(1, self.left), MOST_LISTED)
            rows = self._statements.rows(shape, where, most)
            if not rows:
                return True
            rounds += len(rows) < most  # the last ones: rows that are found after them were inserted meanwhile
            if rounds > ROUNDS:
                raise RowRefusedError(f"rows that refer to it by {edge.name} are inserted again and again")
            if self.left <= 0 or not self.remove(edge.child, rows):
                return False

    def _delete(self, component: Component, members: Members) -> None:
        """Delete the members. Only other members may still refer to them."""
        if component.edges:  # without edges, no statement but its own DELETE changes a row
            for name, found in members.rows.items():
                self._statements.keep(self._shapes.of(name), list(found))
        if component.deferred:
            self._backend.foreign_keys.defer(self._connection)
        for edge in component.breaks:
            rows = list(members.rows.get(name_of(edge.child), {}).values())
            self._break_circle(edge, [self._shapes.of(name_of(edge.child)).key_of(row) for row in rows])
        for table in component.tables:
            rows = list(members.rows.get(name_of(table), {}).values())
            if rows:
                self._delete_rows(component, table, rows)

    def _break_circle(self, edge: Edge, keys: list[KeyValue]) -> None:
        """Set the edge's columns to NULL in these rows, if they may be. The rows are deleted a moment later.

        RowRefusedError if they cannot be deleted otherwise.
        """
        if not edge.nulls:
            if keys and holds_circles(edge, self._backend.foreign_keys):
                raise held(edge)
            return
        shape = self._shapes.of(name_of(edge.child))
        for part in self._statements.parts(keys):
            self._statements.set_null(edge.child, edge.nulls, (self._statements.named(shape, part),))

    def _delete_rows(self, component: Component, table: Table, rows: list[Row]) -> None:
        shape = self._shapes.of(name_of(table))
        own = [edge for edge in component.own if name_of(edge.child) == name_of(table)]
        foreign_keys = self._backend.foreign_keys
        each = [edge for edge in own if edge.enforced and foreign_keys.checks_each_row(edge.on_delete)]
        above = [self._above(shape, edge, rows) for edge in each]
        for edge, referred in zip(each, above, strict=True) if foreign_keys.keeps_own_row else ():
            self._break_circle(edge, [key for key, parent in referred.items() if parent == key])
        ordered, circle = generations(shape, above, rows) if each else ([rows], [])
        if not each and own and len(rows) > self._backend.keys.longest_list:  # no statement may leave an orphan
            lines, circle = generations(shape, [self._above(shape, edge, rows) for edge in own], rows)
            ordered = [[row for some in lines for row in some]]
        for edge in each if circle else ():
            self._break_circle(edge, [shape.key_of(row) for row in circle])
        if each and foreign_keys.in_order(table, shape.key, []) is not None:  # a statement can order its own rows
            ordered, circle = [[row for some in (*ordered, circle) for row in some]], []
        for some in (*ordered, circle):
            for part in self._statements.parts([shape.key_of(row) for row in some]):
                order = foreign_keys.in_order(table, shape.key, part) if each else None
                gone = self._statements.delete_by_key(shape, part, order)
                if gone != len(part) and self._statements.any(table, (self._statements.named(shape, part),)):
                    raise RowRefusedError(VETO)
                if name_of(table) == name_of(self._shapes.graph.root):
                    self.gone += len(part)
                    self.parents = None if self.parents is None else self.parents - len(part)
                self._count(table.label, len(part))  # `gone` lacks those that the database's own CASCADE deleted

    def _count(self, what: str, rows: int) -> None:
        self.left -= rows
        if rows:
            self.changed[what] += rows


def _nulled(table: Table) -> str:
    """Return what rows of the table count as that stay, with a reference set to NULL."""
    return f"{table.label} set to NULL"
