"""Reads foreign keys from information_schema."""

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.facts import TableName
from batchops.db.faults import Fault, driver_error
from batchops.db.foreign_keys import NO_ACTION, ForeignKey, Indexes, Unseen
from batchops.db.mysql.faults import classify
from batchops.db.mysql.ordered_delete import InOrder
from batchops.db.mysql.schema_rows import rows_about
from batchops.db.mysql.unseen_keys import unseen_keys
from batchops.db.table import Table, quoted
from batchops.db.types import KeyValue

_ALL = sa.text("""
SELECT k.constraint_name AS name, nullif(k.table_schema, database()) AS s, k.table_name AS n, k.column_name AS col,
       nullif(k.referenced_table_schema, database()) AS parent_s, k.referenced_table_name AS parent,
       k.referenced_column_name AS referred, r.delete_rule AS on_delete
FROM information_schema.key_column_usage k
LEFT JOIN information_schema.referential_constraints r ON r.constraint_schema = k.constraint_schema
    AND r.constraint_name = k.constraint_name AND r.table_name = k.table_name
WHERE k.referenced_table_name IS NOT NULL
ORDER BY k.table_schema, k.table_name, k.constraint_name, k.ordinal_position
""")
_INDEXES = """
SELECT nullif(table_schema, database()) AS s, table_name AS n, index_name AS name, column_name AS col, sub_part AS part
FROM information_schema.statistics
WHERE (__tables__) AND index_type IN ('BTREE', 'HASH')
ORDER BY table_schema, table_name, index_name, seq_in_index
"""
_NAME, _COLUMNS = r"`(?:[^`]|``)+`", r"\((?:[^()`]|`[^`]*`)*\)"
_RULE = "CASCADE|SET NULL|SET DEFAULT|RESTRICT|NO ACTION"
_CONSTRAINT = re.compile(
    rf"CONSTRAINT `(?P<name>(?:[^`]|``)+)` FOREIGN KEY {_COLUMNS} REFERENCES (?:{_NAME}\.)?{_NAME} {_COLUMNS}"
    rf"(?: ON DELETE (?P<on_delete>{_RULE}))?(?: ON UPDATE (?P<on_update>{_RULE}))?"
)
_CURRENT = sa.text("SELECT database()")


class MySQLForeignKeys:
    """Reads the keys of the tables that this account may see.

    None counts as validated, as any session may have had foreign_key_checks off.
    """

    in_this_order = "STRAIGHT_JOIN"
    stops_early = False
    keeps_own_row = True
    innodb_keys = "innodb_foreign"
    """The view of information_schema with all of InnoDB's foreign keys."""

    def all(self, connection: sa.Connection, schemas: Collection[str | None]) -> Sequence[ForeignKey]:
        rows = _connected(connection.execute(_ALL).all(), set(schemas))
        unsaid = {(row.s, row.n) for row in rows if row.on_delete is None}
        rules = {name: rules_of(connection, *name) for name in sorted(unsaid, key=str)}
        return [
            _foreign_key(list(parts), rules.get((s, n), {}).get(constraint, (NO_ACTION, NO_ACTION))[0])
            for (s, n, constraint), parts in groupby(rows, key=lambda r: (r.s, r.n, r.name))
        ]

    def partitions(self, connection: sa.Connection) -> Mapping[TableName, TableName]:  # noqa: ARG002
        """Return nothing: a partition is not a table of its own here."""
        return {}

    def indexes(self, connection: sa.Connection, tables: Sequence[Table]) -> Indexes:
        found: dict[TableName, list[tuple[str, ...]]] = {(table.schema, table.name): [] for table in tables}
        if not found:
            return found
        current = str(connection.execute(_CURRENT).scalar())
        rows = rows_about(connection, _INDEXES, [(s or current, n) for s, n in found])
        for (s, n, _), parts in groupby(rows, key=lambda r: (r.s, r.n, r.name)):
            # An index is useful only up to a column that it has a prefix of, and up to an expression.
            found[s, n].append(tuple("" if part.part is not None else part.col or "" for part in parts))
        return found

    def checks_each_row(self, on_delete: str) -> bool:  # noqa: ARG002  InnoDB checks row by row, in the order it deletes
        return True

    def refuses_each(self, connection: sa.Connection, table: Table) -> bool:  # noqa: ARG002
        """Always true: InnoDB checks each deleted row by itself."""
        return True

    def in_order(
        self, table: Table, names: Sequence[str], keys: Sequence[KeyValue]
    ) -> sa.ColumnElement[bool] | None:  # fmt: skip
        """Return the order by the place in the list, if the key has one column; None for others."""
        if len(names) > 1:
            return None
        return InOrder(sa.func.field(table.called.c[quoted(names[0])], *(key[0] for key in keys)))

    def by_key(self, table: Table, names: Sequence[str], *, downwards: bool) -> sa.ColumnElement[bool] | None:
        columns = [table.called.c[quoted(name)] for name in names]
        return InOrder(*(column.desc() if downwards else column.asc() for column in columns))

    def unseen(self, connection: sa.Connection, table: Table) -> Unseen:
        return unseen_keys(connection, table, self.innodb_keys)

    def defer(self, connection: sa.Connection) -> None:
        """Do nothing: no key of InnoDB can be deferred."""


def _connected(rows: Sequence[sa.Row[Any]], schemas: set[str | None]) -> list[sa.Row[Any]]:
    """Return the rows of these schemas and of all that foreign keys connect with them.

    A server may have thousands of others.
    """
    while further := {row.s for row in rows if row.parent_s in schemas} - schemas:
        schemas |= further
    return [row for row in rows if row.s in schemas]


def rules_of(connection: sa.Connection, schema: str | None, name: str) -> dict[str, tuple[str, str]]:
    """Return ON DELETE and ON UPDATE of each constraint from the table's DDL.

    An account that may only read a table cannot see them elsewhere.
    """
    table = connection.dialect.identifier_preparer.format_table(sa.table(quoted(name), schema=schema))
    try:
        ddl = connection.exec_driver_sql(f"SHOW CREATE TABLE {table.replace('%', '%%')}").one()[1]
    except DBAPIError as error:
        if classify(driver_error(error)) not in (Fault.NO_TABLE, Fault.LOGIN, Fault.DENIED):
            raise
        return {}  # the table was dropped, or this account may not see it: mostly a table of another schema
    return {
        found["name"].replace("``", "`"): (found["on_delete"] or NO_ACTION, found["on_update"] or NO_ACTION)
        for found in _CONSTRAINT.finditer(ddl)
    }


def _foreign_key(parts: Sequence[sa.Row[Any]], rule: str) -> ForeignKey:
    first = parts[0]
    return ForeignKey(
        name=first.name,
        child=(first.s, first.n),
        columns=tuple(part.col for part in parts),
        parent=(first.parent_s, first.parent),
        referred=tuple(part.referred for part in parts),
        on_delete=first.on_delete or rule,
        validated=False,
        elsewhere=first.s is not None,
    )
