"""Listed rows that the run itself changes: foreign keys of a table to itself set them when others are deleted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from batchops.bulk.strategies.row_list import ListedRows
from batchops.db.row_lists import PROOF
from batchops.db.table import quoted
from batchops.db.types import KeyValue

OwnReference = tuple[tuple[str, ...], tuple[str, ...]]
"""Columns of a table, and the columns of the same table that they refer to."""


@dataclass(frozen=True)
class OwnChanges:
    """Finds the listed rows that the references change, and renews their proofs in the same transaction."""

    rows: ListedRows
    key: tuple[str, ...]
    references: tuple[OwnReference, ...]

    def referring(self, keys: Sequence[KeyValue]) -> sa.Select[Any]:
        """Return a SELECT of the keys of unchanged listed rows that refer to one of these rows."""
        backend, table = self.rows.backend, self.rows.table
        parent = replace(table, alias="batchops_parent")
        among = backend.keys.among(parent, self.key, keys)
        refer = []
        for columns, referred in self.references:
            own = [table.called.c[quoted(name)] for name in columns]
            gone = sa.select(*(parent.called.c[quoted(name)] for name in referred)).where(among)
            refer.append((own[0] if len(own) == 1 else sa.tuple_(*own)).in_(gone))
        out = [backend.keys.out(table, name).label(f"k{i}") for i, name in enumerate(self.key)]
        rows: sa.Select[Any] = table.alone(sa.select(*out).select_from(table.called))
        return rows.where(sa.or_(*refer), self.rows.clause)

    def proved_anew(self, keys: Sequence[KeyValue]) -> tuple[sa.Update, ...]:
        """Return statements that store new proofs of these rows in the list, of the rows as they are by then."""
        backend, table, listed = self.rows.backend, self.rows.table, self.rows.listed
        same = [listed.clause.c[quoted(name)] == backend.keys.order(table, name) for name in self.key]
        proof = sa.select(backend.row_lists.proof(table)).select_from(table.called).where(*same)
        value = proof.correlate(listed.clause).scalar_subquery()
        update, most = (
            sa.update(listed.clause).values({listed.clause.c[quoted(PROOF)]: value}),
            backend.keys.longest_list,
        )
        parts = (keys[i : i + most] for i in range(0, len(keys), most))
        return tuple(update.where(backend.keys.among(listed, self.key, part)) for part in parts)
