"""The statements that remove a family: each takes a list of rows, and changes no more than a given number."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import sqlalchemy as sa

from batchops.bulk.children.graph import Edge
from batchops.bulk.children.shape import Row, Shape, set_again_by
from batchops.bulk.execution import DirectRemoval, Removal
from batchops.db.backend import Backend
from batchops.db.table import Table, limited, quoted
from batchops.db.types import KeyValue
from batchops.sql.selection import user_sql

_PARENT = "batchops_parent"
Where = Sequence[sa.ColumnElement[bool] | sa.TextClause]
Listed = TypeVar("Listed")


class FamilyStatements:
    """Executes the statements on one connection, inside the transaction of a batch."""

    def __init__(self, backend: Backend, connection: sa.Connection, removal: Removal | None = None) -> None:
        """`removal` deletes the rows."""
        self._removal = removal or DirectRemoval()
        self._keys = backend.keys
        self._locks = backend.sessions.locks_rows
        self._ordered = backend.foreign_keys.in_this_order
        self._connection = connection

    def rows(self, shape: Shape, where: Where, most: int | None = None) -> list[Row]:
        """Return the rows, at most `most` of them, locked if the role may lock them."""
        table = shape.table
        columns = [self._keys.out(table, name).label(f"c{i}") for i, name in enumerate(shape.columns)]
        rows: sa.Select[Any] = table.alone(sa.select(*columns).select_from(table.called)).where(*where)
        if most is not None:
            rows = rows.limit(most)
        if self._locks and table.lockable:
            rows = rows.with_for_update()
        return self._values(rows)

    def along(self, edge: Edge, values: Sequence[KeyValue]) -> Where:
        """Return the conditions for the child's rows that refer to these values by the edge."""
        among = self._keys.among(edge.child, edge.columns, values)
        return (among,) if edge.condition is None else (among, user_sql(f"({edge.condition})"))

    def below(
        self, edges: Sequence[Edge], shape: Shape, parents: Sequence[Row], most: int, depth: int | None
    ) -> list[Row]:  # fmt: skip
        """Return the rows that refer to the parents by edges of the table to itself, and those that refer to them.

        They are at most `most` rows, nearest first; or, with a `depth`, all rows of that many generations. They are
        not locked.
        """
        table, read = shape.table, shape.whole.columns
        names = [quoted(f"batchops_{name}") for name in read]
        own = [self._keys.order(table, name) for name in read]
        columns = [column.label(name) for column, name in zip(own, names, strict=True)]
        level = quoted("batchops_depth")
        ones: list[sa.ColumnElement[Any]] = [] if depth is None else [sa.literal_column("1").label(level)]
        first: sa.Select[Any] = table.alone(sa.select(*columns, *ones).select_from(table.called))
        wanted = [(edge, shape.values(parents, edge.referred)) for edge in edges]
        nearest = [sa.and_(*self.along(edge, values)) for edge, values in wanted if values]
        if not nearest:
            return []
        found = first.where(sa.or_(*nearest)).cte("found", recursive=True)
        below = sa.or_(*(self._below(edge, found) for edge in edges))
        if depth is None:
            then: sa.Select[Any] = sa.select(*columns)
        else:
            then = sa.select(*columns, (found.c[level] + 1).label(level)).where(found.c[level] < depth)
        joined = then.select_from(sa.join(found, table.called, below))
        then = table.alone(joined.prefix_with(self._ordered) if self._ordered else joined)
        every = found.union(then)
        rows = sa.select(*(self._keys.exact(every.c[name]).label(f"c{i}") for i, name in enumerate(names)))
        return self._values(rows.limit(most) if depth is None else rows.distinct())

    def _below(self, edge: Edge, found: sa.CTE) -> sa.ColumnElement[bool]:
        """Return the condition for a row that refers, by the edge, to one that was found."""
        pairs = zip(edge.columns, edge.referred, strict=True)
        same = [self._keys.order(edge.child, own) == found.c[quoted(f"batchops_{name}")] for own, name in pairs]
        return sa.and_(*same) if edge.condition is None else sa.and_(*same, user_sql(f"({edge.condition})"))

    def refers(self, edge: Edge) -> sa.ColumnElement[bool]:
        """Return the condition for a child's row that has a value in a column that can be set to NULL."""
        return sa.or_(*(edge.child.called.c[quoted(name)].is_not(None) for name in edge.nulls))

    def hold(self, edges: Sequence[Edge], shape: Shape, rows: Sequence[Row]) -> bool:
        """Lock these rows. Return whether all are still as they were read, and match the condition of an edge."""
        if not self._locks:
            return True
        asked = [user_sql(f"({edge.condition})") for edge in edges if edge.condition is not None]
        match = [sa.or_(*asked)] if len(asked) == len(edges) else []
        parts = self.parts([shape.key_of(row) for row in rows])
        held = {row for some in parts for row in self.rows(shape.whole, (self.named(shape, some), *match))}
        return held == set(rows)

    def referred_by_others(self, edge: Edge, shape: Shape, keys: Sequence[KeyValue]) -> list[KeyValue]:
        """Return those of the keys to whose rows other rows refer that do not match the edge's condition."""
        table, parent = edge.child, replace(shape.table, alias=_PARENT)
        others: sa.Select[Any] = table.alone(sa.select(sa.literal_column("1")).select_from(table.called))
        # The condition names columns of the innermost table, as in a statement of its own.
        others = others.where(self._same(edge, parent), user_sql(f"({edge.condition}) IS NOT TRUE"))
        columns = [self._keys.out(parent, name).label(f"c{i}") for i, name in enumerate(shape.key)]
        rows: sa.Select[Any] = parent.alone(sa.select(*columns).select_from(parent.called))
        return self._values(rows.where(self._keys.among(parent, shape.key, keys), others.exists()))

    def references(self, edge: Edge, shape: Shape, keys: Sequence[KeyValue]) -> list[tuple[KeyValue, KeyValue]]:
        """Return pairs of keys: one of `keys`, and the key of the row that its row refers to by the edge."""
        table, parent = shape.table, replace(shape.table, alias=_PARENT)
        columns = [self._keys.out(one, name) for one in (table, parent) for name in shape.key]
        named = [column.label(f"c{i}") for i, column in enumerate(columns)]
        rows = sa.select(*named).select_from(sa.join(table.called, parent.called, self._same(edge, parent)))
        found = self._values(parent.alone(table.alone(rows)).where(self._keys.among(table, shape.key, keys)))
        return [(row[: len(shape.key)], row[len(shape.key) :]) for row in found]

    def _same(self, edge: Edge, parent: Table) -> sa.ColumnElement[bool]:
        """Return the condition that a row of the child refers to a row of the parent, by the server's comparison."""
        pairs = zip(edge.columns, edge.referred, strict=True)
        return sa.and_(
            *(self._keys.order(edge.child, own) == self._keys.order(parent, referred) for own, referred in pairs)
        )

    def _values(self, rows: sa.Select[Any]) -> list[KeyValue]:
        return [tuple(row) for row in self._connection.execute(rows).all()]

    def named(self, shape: Shape, keys: Sequence[KeyValue]) -> sa.ColumnElement[bool]:
        """Return the condition for the rows with these keys."""
        return self._keys.among(shape.table, shape.key, keys)

    def any(self, table: Table, where: Where) -> bool:
        """Whether the table has a row that matches `where`."""
        one: sa.Select[Any] = table.alone(sa.select(sa.literal_column("1")).select_from(table.called))
        return self._connection.execute(one.where(*where).limit(1)).first() is not None

    def keep(self, shape: Shape, keys: Sequence[KeyValue]) -> None:
        """Let the removal read the rows with these keys before other statements change them: they are deleted later."""
        for part in self.parts(keys):
            self._removal.read(self._connection, shape.table, self.named(shape, part), len(part))

    def delete(self, table: Table, where: Where) -> int:
        """Delete all rows that match; return how many."""
        return self._removal.delete(self._connection, table, self._deleting(table, where))

    def delete_by_key(self, shape: Shape, keys: Sequence[KeyValue], order: sa.ColumnElement[bool] | None = None) -> int:
        """Delete the rows with these keys, one after the other if an `order` is given; return how many."""
        if order is not None:
            return self.delete(shape.table, (self.named(shape, keys), order))
        delete = self._keys.by_index(shape.table, shape.key, self._deleting(shape.table, (self.named(shape, keys),)))
        assert isinstance(delete, sa.Delete)  # by_index keeps the kind of statement
        return self._removal.delete(self._connection, shape.table, delete)

    def delete_some(self, table: Table, where: Where, most: int) -> tuple[int, bool]:
        """Delete at most `most` rows. Return how many, and whether these are surely all."""
        if self._keys.limits_deletes:
            rows = self._removal.delete(self._connection, table, limited(self._deleting(table, where), most))
            return rows, rows < most
        rows = self.delete(table, (*where, self._no_more_than(table, where, most)))
        if rows or self._fits(table, where, most):
            return rows, True
        return self.delete(table, (*where, self._first(table, where, most))), False

    def set_null(self, table: Table, columns: Sequence[str], where: Where, most: int | None = None) -> tuple[int, bool]:
        """Set these columns of at most `most` rows to NULL. Return how many, and whether these are surely all."""
        self._removal.changes(self._connection, table, sa.and_(*where))
        nulls = {table.called.c[quoted(name)]: sa.null() for name in columns}
        update = table.alone(sa.update(table.called)).values(nulls)
        if most is None:
            return self._connection.execute(update.where(*where)).rowcount, True
        if self._removal.exact and (key := set_again_by(table)):
            return self._null_by_key(Shape(table, key, key), columns, update, where, most)
        if self._keys.limits_deletes:
            some = limited(update.where(*where), most)
            rows = self._connection.execute(some).rowcount
            return rows, rows < most
        rows = self._connection.execute(update.where(*where, self._no_more_than(table, where, most))).rowcount
        if rows or self._fits(table, where, most):
            return rows, True
        return self._connection.execute(update.where(*where, self._first(table, where, most))).rowcount, False

    def _null_by_key(
        self, shape: Shape, columns: Sequence[str], update: sa.Update, where: Where, most: int
    ) -> tuple[int, bool]:  # fmt: skip
        """Read the rows first, and set the columns to NULL in exactly these rows."""
        keys = self.rows(shape, where, most)
        for part in self.parts(keys):
            named = self.named(shape, part)
            self._removal.nulls(self._connection, shape.table, columns, named, len(part))
            self._connection.execute(update.where(named))
        return len(keys), len(keys) < most

    def parts(self, values: Sequence[Listed]) -> Iterator[Sequence[Listed]]:
        """Split the values into parts that are no longer than the longest list."""
        longest = self._keys.longest_list
        return (values[i : i + longest] for i in range(0, len(values), longest))

    def _deleting(self, table: Table, where: Where) -> sa.Delete:
        return table.alone(sa.delete(table.called).where(*where))

    def _no_more_than(self, table: Table, where: Where, most: int) -> sa.ColumnElement[bool]:
        """Return the condition that at most `most` rows match. A statement evaluates it once, before it begins."""
        return self._counted(table, where, most).scalar_subquery() <= most

    def _fits(self, table: Table, where: Where, most: int) -> bool:
        return int(self._connection.execute(self._counted(table, where, most)).scalar_one()) <= most

    def _counted(self, table: Table, where: Where, most: int) -> sa.Select[Any]:
        """Return a SELECT that counts the matching rows, but no further than `most` + 1."""
        some: sa.Select[Any] = table.alone(sa.select(sa.literal_column("1")).select_from(table.called))
        return sa.select(sa.func.count()).select_from(some.where(*where).limit(most + 1).subquery())

    def _first(self, table: Table, where: Where, most: int) -> sa.ColumnElement[bool]:
        """Return the condition for the first `most` rows, by their place, or by key if several tables share places."""
        columns = [self._keys.order(table, name) for name in self._places(table)]
        inner = table.alone(sa.select(*columns).select_from(table.called)).where(*where).limit(most)
        return (columns[0] if len(columns) == 1 else sa.tuple_(*columns)).in_(inner)

    def _places(self, table: Table) -> tuple[str, ...]:
        hidden = self._keys.row_id(table)
        if hidden is None or (table.kind == "partitioned" and table.known_by):
            return table.known_by
        return ("tableoid", hidden) if table.kind == "partitioned" else (hidden,)
