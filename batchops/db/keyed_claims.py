"""Claims for databases without a statement that locks, changes and returns rows: rows are locked, then changed."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.claims import Claimable, Claiming, ClaimQueries, Marked, MarkedLater, Marking, as_then, sizes_of
from batchops.db.keys import Keys
from batchops.db.table import Table, quoted
from batchops.db.types import KeyValue

_LIST = 1_000
"""The most keys in one statement."""


class _Keyed(ClaimQueries, Protocol):
    row_keys: Keys


class KeyedClaims:
    """The part of a database's claims that depends on its keys only."""

    def claiming(self: _Keyed, rows: Claimable) -> Claiming:
        return SizedClaiming(rows, self.free, partial(_lease, self))

    def marking(
        self: _Keyed, table: Table, names: Sequence[str], statement: Callable[[Any], sa.Update | sa.Delete],
        condition: sa.ColumnElement[bool] | sa.TextClause | None,  # noqa: ARG002  a query finds it out
        *, in_order: bool,  # noqa: ARG002  a list has any order
    ) -> Marking:  # fmt: skip
        return KeyedMarking(
            lambda connection, one: self.change(connection, table, names, one),
            lambda some: self.row_keys.among(table, names, some), self.row_keys.longest_list, statement,
        )  # fmt: skip


def _lease(
    claims: _Keyed, connection: sa.Connection, claimable: Claimable, candidates: sa.Select[Any],
    values: Mapping[str, Any],
) -> Sequence[Sequence[Any]]:  # fmt: skip
    table, names, keys = claimable.table, claimable.names, claims.row_keys
    out = [*(keys.out(table, name) for name in names), *as_then(claimable.columns, values)]
    labelled = [column.label(f"c{i}") for i, column in enumerate(out)]
    rows = connection.execute(claims.free(candidates.with_only_columns(*labelled))).all()
    found = [tuple(row[: len(names)]) for row in rows]
    update = sa.update(table.called).values({quoted(name): value for name, value in values.items()})
    for start in range(0, len(found), _LIST):
        mine = update.where(keys.among(table, names, found[start : start + _LIST]))
        connection.execute(keys.by_index(table, names, mine))
    return rows


class SizedClaiming:
    """Claims in several statements: reads the sizes of the candidates first, and then the rows that fit."""

    def __init__(
        self, rows: Claimable, free: Callable[[sa.Select[Any]], sa.Select[Any]],
        lease: Callable[[sa.Connection, Claimable, sa.Select[Any], Mapping[str, Any]], Sequence[Sequence[Any]]],
    ) -> None:  # fmt: skip
        """`free`: makes a SELECT lock its rows. `lease`: locks candidates, sets values in them, and returns them."""
        self._rows = rows
        self._free = free
        self._lease = lease

    def __call__(
        self, connection: sa.Connection, rows: int, low: KeyValue | None, token: str, seconds: float
    ) -> Sequence[Sequence[Any]]:
        own = self._rows
        fitting = own.limit.rows(rows, sizes_of(connection, own, low, self._free))
        return self._lease(connection, own, own.candidates(fitting, low), own.values(token, seconds))


class KeyedMarking:
    """Marks rows by lists of keys, with a statement for each list. It does not find out which are still pending."""

    def __init__(
        self, change: Callable[[sa.Connection, sa.Update | sa.Delete], Sequence[KeyValue]],
        among: Callable[[Sequence[KeyValue]], sa.ColumnElement[bool]], longest: int,
        statement: Callable[[Any], sa.Update | sa.Delete],
    ) -> None:  # fmt: skip
        """`longest`: the most keys that `among` accepts."""
        self._change = change
        self._among = among
        self._longest = longest
        self._statement = statement

    def __call__(
        self, connection: sa.Connection, keys: Sequence[KeyValue], token: str,
        held: int | None = None,  # noqa: ARG002  a list names each row
    ) -> MarkedLater:  # fmt: skip
        statement, changed = self._statement(token), set[KeyValue]()
        for start in range(0, len(keys), self._longest):
            mine = self._among(keys[start : start + self._longest])
            changed.update(self._change(connection, statement.where(mine)))
        return lambda: Marked(changed)
