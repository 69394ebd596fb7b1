"""What depends on a MariaDB or MySQL table, and which tables a plan reads from end to end."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.facts import CASCADE, RESTRICT, FullRead, OtherTable, Reference, TableFacts, TableName, Trigger
from batchops.db.faults import Fault, driver_error
from batchops.db.foreign_keys import NO_ACTION
from batchops.db.mysql import server_health, table_reads
from batchops.db.mysql.faults import classify
from batchops.db.mysql.foreign_keys import rules_of
from batchops.db.mysql.planner import MySQLPlanner
from batchops.db.mysql.schema_rows import rows_about
from batchops.db.table import Key, Table

_TABLE = sa.text("""
SELECT table_schema AS s, engine AS engine, table_type AS kind FROM information_schema.tables
WHERE table_name = :name AND table_schema = coalesce(:schema, database())
""")
_VIEW = sa.text("""
SELECT view_definition AS body FROM information_schema.views
WHERE table_schema = :schema AND table_name = :name AND is_updatable = 'YES'
""")
_TRIGGERS = """
SELECT nullif(event_object_schema, database()) AS s, event_object_table AS n, trigger_name AS name,
       lower(action_timing) AS timing, event_manipulation AS event
FROM information_schema.triggers
WHERE (__tables__) AND event_manipulation IN ('DELETE', 'UPDATE')
ORDER BY event_object_schema, event_object_table, action_order
"""
_ENGINES = """
SELECT nullif(table_schema, database()) AS s, table_name AS n, engine FROM information_schema.tables
WHERE (__tables__)
"""
_REFERENCES = sa.text("""
SELECT k.constraint_name AS name, k.table_schema AS s, k.table_name AS n, k.column_name AS col,
       k.referenced_column_name AS referred, r.delete_rule AS on_delete, r.update_rule AS on_update,
       t.table_rows AS estimate, k.table_schema = database() AS here
FROM information_schema.key_column_usage k
LEFT JOIN information_schema.referential_constraints r ON r.constraint_schema = k.constraint_schema
    AND r.constraint_name = k.constraint_name AND r.table_name = k.table_name
JOIN information_schema.tables t ON t.table_schema = k.table_schema AND t.table_name = k.table_name
WHERE k.referenced_table_schema = :schema AND k.referenced_table_name = :name
ORDER BY k.table_schema, k.table_name, k.constraint_name, k.ordinal_position
""")
_NULLABLE = sa.text("""
SELECT index_name AS name, column_name AS col, sub_part AS part, nullable = 'YES' AS nullable
FROM information_schema.statistics
WHERE table_schema = :schema AND table_name = :name AND non_unique = 0 AND index_type = 'BTREE'
ORDER BY index_name, seq_in_index
""")
_FOLLOW = sa.text("""
SELECT column_name FROM information_schema.columns
WHERE table_schema = :schema AND table_name = :name AND extra LIKE '%on update%' ORDER BY ordinal_position
""")
_BASE = re.compile(r"from `(?P<schema>[^`]+)`\.`(?P<table>[^`]+)`(?: where .*)?$", re.DOTALL)
_ROLLS_BACK = {"InnoDB", "ndbcluster", "ROCKSDB"}


class MySQLFacts:
    """Finds the facts in information_schema, as far as this account may see it, and by EXPLAIN."""

    new_index = "CREATE INDEX …"
    value_literal = staticmethod(table_reads.value_literal)

    def __init__(self, planner: MySQLPlanner) -> None:
        self.planner = planner

    def tables_read(
        self, connection: sa.Connection, table: Table, condition: sa.ColumnElement[bool] | sa.TextClause,
        values: Sequence[sa.TextClause], functions: Collection[str],
    ) -> frozenset[TableName]:  # fmt: skip
        return table_reads.tables_read(connection, self.planner, table, condition, values, functions)

    def of(self, connection: sa.Connection, table: Table) -> TableFacts:
        """Return what depends on the table; foreign keys of tables that this account may not see are missing."""
        about = connection.execute(_TABLE, {"schema": table.schema, "name": table.name}).one()
        where = {"schema": about.s, "name": table.name}
        rolls_back = _rolls_back(about.engine)
        return TableFacts(
            triggers=_triggers(connection, [(about.s, table)]).get((table.schema, table.name), ()),
            references=tuple(_references(connection, OtherTable(table.schema, table.name), about.s)),
            nullable_keys=tuple(_nullable_keys(connection, where)),
            base=_base(connection, where) if table.kind == "view" else None,
            follow_updates=tuple(connection.execute(_FOLLOW, where).scalars()),
            transactional=rolls_back,
            frees_space=f"OPTIMIZE TABLE {table.label} (rewrites it)",
            log=server_health.log(connection),
            replicas=server_health.replicas(connection),
            free_bytes=self.free_bytes(connection),
            warnings=(
                *server_health.warnings(connection, keyless=not table.keys and table.kind == "table"),
                *_table_warnings(about.engine, about.kind, rolls_back=rolls_back),
            ),
        )

    def guards(self, connection: sa.Connection, tables: Sequence[Table]) -> Mapping[TableName, TableFacts]:
        """Return `Facts.guards` of all the tables, by three statements for each schema."""
        current = str(connection.execute(sa.text("SELECT database()")).scalar())
        placed = [(table.schema or current, table) for table in tables]
        firing = _triggers(connection, placed)
        names = [(schema, table.name) for schema, table in placed]
        engines = {(row.s, row.n): row.engine for row in rows_about(connection, _ENGINES, names)}
        return {
            name: TableFacts(triggers=firing.get(name, ()), transactional=_rolls_back(engines.get(name)))
            for name in ((table.schema, table.name) for table in tables)
        }

    def full_reads(
        self, connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update
    ) -> Sequence[FullRead]:
        """Return the tables for which EXPLAIN has the type ALL or index."""
        limited = isinstance(statement, sa.Select) and statement._limit_clause is not None
        rows = self.planner.rows(connection, statement)
        return [
            FullRead(str(row["table"]), int(row["rows"] or 0))
            for row in rows
            if row["type"] in ("ALL", "index")
            and not str(row["table"]).startswith("<")
            and not (limited and row["select_type"] in ("SIMPLE", "PRIMARY") and "filesort" not in str(row["Extra"]))
        ]

    def count_within(self, connection: sa.Connection, rows: sa.Select[Any], seconds: float) -> int | None:
        """Count with a timeout for this statement alone."""
        counted = sa.select(sa.func.count()).select_from(rows.subquery())
        try:
            return int(self.scalar_within(connection, counted, seconds))
        except DBAPIError as error:
            if classify(driver_error(error)) not in (Fault.TIMED_OUT, Fault.DENIED):
                raise
            return None

    def scalar_within(self, connection: sa.Connection, select: sa.Select[Any], seconds: float) -> Any:
        """Return the single value of `select`; the server's timeout error if that takes longer than `seconds`."""
        hint = f"/*+ MAX_EXECUTION_TIME({max(1, round(seconds * 1000))}) */"
        return connection.execute(select.prefix_with(hint)).scalar_one()

    def free_bytes(self, connection: sa.Connection) -> int | None:  # noqa: ARG002  MySQL does not tell
        """Return the free bytes on the disk of the data directory; None where the server does not tell."""
        return None


def _rolls_back(engine: str | None) -> bool:
    return engine is None or engine in _ROLLS_BACK


def _triggers(
    connection: sa.Connection, tables: Sequence[tuple[str, Table]]
) -> Mapping[TableName, tuple[Trigger, ...]]:  # fmt: skip
    """Return the triggers of each table; each of `tables` comes with the name of its schema."""
    labels = {(table.schema, table.name): table.label for _, table in tables}
    names = [(schema, table.name) for schema, table in tables]
    rows = rows_about(connection, _TRIGGERS, names, "event_object_schema", "event_object_table")
    return {
        name: tuple(Trigger(t.name, labels[name], t.timing, t.event) for t in listed)
        for name, listed in groupby(rows, key=lambda row: (row.s, row.n))
    }


def _references(connection: sa.Connection, parent: OtherTable, schema: str) -> Iterator[Reference]:
    """Yield the foreign keys that refer to `parent`, then those that refer to each child that cascades."""
    seen: set[tuple[str, str]] = set()
    waiting = [(parent, schema)]
    first = parent
    while waiting:
        parent, schema = waiting.pop(0)
        if (schema, parent.name) in seen:
            continue
        seen.add((schema, parent.name))
        rows = connection.execute(_REFERENCES, {"schema": schema, "name": parent.name}).all()
        for _, parts in groupby(rows, key=lambda r: (r.s, r.n, r.name)):
            listed = list(parts)
            yield (found := _reference(listed, parent, _rules(connection, listed[0]), direct=parent is first))
            if CASCADE in (found.on_delete, found.on_update):
                waiting.append((found.child, listed[0].s))


def _rules(connection: sa.Connection, row: sa.Row[Any]) -> tuple[str, str]:
    """Return ON DELETE and ON UPDATE, also where information_schema hides them from this account."""
    if row.on_delete is not None:
        return row.on_delete, row.on_update
    return rules_of(connection, row.s, row.n).get(row.name, (RESTRICT, RESTRICT))


def _reference(
    parts: Sequence[sa.Row[Any]], parent: OtherTable, rules: tuple[str, str], *, direct: bool
) -> Reference:  # fmt: skip
    first = parts[0]
    return Reference(
        child=OtherTable(None if first.here else first.s, first.n, first.estimate),
        columns=tuple(part.col for part in parts),
        parent=parent,
        referred=tuple(part.referred for part in parts),
        on_delete=RESTRICT if rules[0] == NO_ACTION else rules[0],
        on_update=RESTRICT if rules[1] == NO_ACTION else rules[1],
        direct=direct,
        indexed=True,  # the server makes an index where there is none, and keeps it
    )


def _nullable_keys(connection: sa.Connection, where: dict[str, str]) -> Iterator[Key]:
    for _, parts in groupby(connection.execute(_NULLABLE, where).all(), key=lambda part: part.name):
        listed = list(parts)
        if all(p.part is None and p.col is not None for p in listed) and any(p.nullable for p in listed):
            yield Key(tuple(p.col for p in listed), primary=False)


def _base(connection: sa.Connection, where: dict[str, str]) -> str | None:
    body = connection.execute(_VIEW, where).scalar()
    found = _BASE.search(body) if body else None
    return found["table"] if found else None


def _table_warnings(engine: str | None, kind: str, *, rolls_back: bool) -> Iterator[str]:
    if not rolls_back:
        yield (
            f"The table's engine {engine} does not support transactions: a batch that fails half way stays half done, "
            "and readers wait for each batch."
        )
    if kind == "SYSTEM VERSIONED":
        yield "The table keeps its history: what is deleted or changed stays as old versions (DELETE HISTORY)."
