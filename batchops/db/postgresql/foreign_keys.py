"""Reads foreign keys from PostgreSQL's catalogue."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.facts import CASCADE, RESTRICT, SET_DEFAULT, SET_NULL, TableName
from batchops.db.foreign_keys import NO_ACTION, ForeignKey, Indexes, Unseen
from batchops.db.table import Table
from batchops.db.types import KeyValue

_ACTIONS = {"c": CASCADE, "n": SET_NULL, "d": SET_DEFAULT, "a": NO_ACTION, "r": RESTRICT}
# conenforced exists since 18, confdelsetcols since 15. A constraint whose triggers are disabled is not enforced.
_ALL = sa.text("""
SELECT c.conname::text AS name, cn.nspname::text AS child_schema, child.relname::text AS child,
       pn.nspname::text AS parent_schema, parent.relname::text AS parent,
       ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY k(n, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n ORDER BY place) AS columns,
       ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY k(n, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.n ORDER BY place) AS referred,
       ARRAY(SELECT a.attname::text
             FROM jsonb_array_elements_text(coalesce(nullif(to_jsonb(c) -> 'confdelsetcols', 'null'), '[]')) k(n)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n::int2) AS sets,
       c.confdeltype::text AS on_delete, c.confmatchtype = 'f' AS match_full, c.condeferrable, c.condeferred,
       c.convalidated,
       coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true) AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_trigger t WHERE t.tgconstraint = c.oid AND t.tgenabled NOT IN ('O', 'A')
       ) AS enforced
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_class child ON child.oid = c.conrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = child.relnamespace
JOIN pg_catalog.pg_class parent ON parent.oid = c.confrelid
JOIN pg_catalog.pg_namespace pn ON pn.oid = parent.relnamespace
WHERE c.contype = 'f' AND c.conparentid = 0 ORDER BY cn.nspname, child.relname, c.conname
""")
_PARTITIONS = sa.text("""
SELECT cn.nspname::text, child.relname::text, pn.nspname::text, parent.relname::text
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class child ON child.oid = i.inhrelid AND child.relispartition AND child.relkind IN ('r', 'p', 'f')
JOIN pg_catalog.pg_namespace cn ON cn.oid = child.relnamespace
JOIN pg_catalog.pg_class parent ON parent.oid = i.inhparent
JOIN pg_catalog.pg_namespace pn ON pn.oid = parent.relnamespace
""")
# An expression has no column name: only the columns before it are useful here.
_INDEXES = sa.text("""
SELECT i.indrelid::text AS identity, array_agg(a.attname::text ORDER BY k.place) AS columns
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = ANY(CAST(:oids AS oid[])) AND i.indisvalid AND i.indpred IS NULL AND k.place <= i.indnkeyatts
GROUP BY i.indrelid, i.indexrelid ORDER BY i.indexrelid
""")


class PostgreSQLForeignKeys:
    """Reads pg_constraint, which every role may read."""

    in_this_order = ""
    stops_early = True
    keeps_own_row = False

    def all(self, connection: sa.Connection, schemas: Collection[str | None]) -> Sequence[ForeignKey]:  # noqa: ARG002
        return [_foreign_key(row) for row in connection.execute(_ALL)]

    def partitions(self, connection: sa.Connection) -> Mapping[TableName, TableName]:
        return {(s, n): (parent_s, parent) for s, n, parent_s, parent in connection.execute(_PARTITIONS)}

    def indexes(self, connection: sa.Connection, tables: Sequence[Table]) -> Indexes:
        names = {table.identity: (table.schema, table.name) for table in tables}
        found: dict[TableName, list[tuple[str, ...]]] = {name: [] for name in names.values()}
        for row in connection.execute(_INDEXES, {"oids": list(names)}):
            found[names[row.identity]].append(tuple(name or "" for name in row.columns))
        return found

    def checks_each_row(self, on_delete: str) -> bool:  # noqa: ARG002  RESTRICT too is checked after the statement
        return False

    def refuses_each(self, connection: sa.Connection, table: Table) -> bool:  # noqa: ARG002
        """Always true: the server checks each deleted row by itself."""
        return True

    def in_order(
        self, table: Table, names: Sequence[str], keys: Sequence[KeyValue]  # noqa: ARG002  the protocol's shape
    ) -> sa.ColumnElement[bool] | None:  # fmt: skip
        """Return None: the order of a DELETE cannot be set."""
        return None

    def by_key(
        self, table: Table, names: Sequence[str], *, downwards: bool  # noqa: ARG002  the protocol's shape
    ) -> sa.ColumnElement[bool] | None:  # fmt: skip
        """Return None: the order of a DELETE cannot be set."""
        return None

    def unseen(self, connection: sa.Connection, table: Table) -> Unseen:  # noqa: ARG002
        """Every role may read pg_constraint."""
        return Unseen()

    def defer(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("SET CONSTRAINTS ALL DEFERRED")


def _foreign_key(row: sa.Row[Any]) -> ForeignKey:
    return ForeignKey(
        name=row.name,
        child=(row.child_schema, row.child),
        columns=tuple(row.columns),
        parent=(row.parent_schema, row.parent),
        referred=tuple(row.referred),
        on_delete=_ACTIONS[row.on_delete],
        sets=tuple(row.sets),
        match_full=row.match_full,
        deferrable=row.condeferrable,
        deferred=row.condeferred,
        validated=row.convalidated,
        enforced=row.enforced,
    )
