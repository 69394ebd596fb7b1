"""How rows are taken by one of several workers, so that none is held by two."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.family import KeyValue
from batchops.db.table import Column, Table


class Claims(Protocol):
    """What one family can do for workers that share a table."""

    types: Mapping[str, str]
    """The spelling of the types that lease columns have: text, number, count."""

    def refusal(self, connection: sa.Connection, table: Table) -> str | None:
        """Why this server cannot keep workers apart on this table; None where it can."""

    def now(self) -> sa.ColumnElement[float]:
        """The server's clock in seconds since 1970, one reading for a whole statement."""

    def since(self, table: Table, names: Sequence[str], key: KeyValue) -> sa.ColumnElement[bool]:
        """Rows from `key` on in the order of `names`."""

    def free(self, select: sa.Select[Any]) -> sa.Select[Any]:
        """The rows of `select`, locked, without those that others have locked."""

    def claim(
        self,
        connection: sa.Connection,
        table: Table,
        names: Sequence[str],
        candidates: sa.Select[Any],
        values: Mapping[str, Any],
        columns: Sequence[sa.ColumnElement[Any]],
    ) -> Sequence[sa.Row[Any]]:
        """Lock the free candidates, set `values` in them, and give their keys and `columns` as they are then.

        Never more than the candidates' own limit; in no particular order.
        """

    def change(
        self, connection: sa.Connection, table: Table, names: Sequence[str], statement: sa.Update | sa.Delete
    ) -> Sequence[KeyValue]:
        """Execute it, and give the keys of the rows it changed."""

    def age(self, column: Column, value: sa.ColumnElement[Any]) -> sa.ColumnElement[float] | None:
        """Seconds that a moment of that column lies back; None for a column without moments."""
