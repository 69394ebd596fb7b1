"""What a column of MariaDB or MySQL can hold: by its type, an ENUM's labels and its checks."""

import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.column_contents import Clock, Kind, refused_by
from batchops.db.table import Column, Table

_CHECKS = """
SELECT DISTINCT c.constraint_name AS name, c.check_clause AS clause FROM information_schema.check_constraints c
JOIN information_schema.table_constraints t ON t.constraint_schema = c.constraint_schema
    AND t.constraint_name = c.constraint_name {same_table} AND t.constraint_type = 'CHECK'
WHERE t.table_schema = coalesce(:schema, database()) AND t.table_name = :table ORDER BY 1
"""
_LABEL = re.compile(r"'((?:[^']|'')*)'")
_LENGTH = re.compile(r"(?:var)?char\((\d+)\)")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_KINDS: tuple[tuple[tuple[str, ...], Kind], ...] = (
    (("tinyint", "smallint", "mediumint"), Kind.SMALL),
    (("bit(1)",), Kind.FLAG),
    (("int",), Kind.NUMBER),
    (("bigint", "decimal", "double", "float"), Kind.LARGE),
    (("timestamp", "datetime", "date"), Kind.TIME),
    (("enum", "char", "varchar", "tinytext", "text", "mediumtext", "longtext"), Kind.WORDS),
)


class MySQLContents:
    """Tells what a column can hold by column_type and information_schema."""

    same_check_table = ""
    """The condition that tells the checks of two tables apart; MySQL needs none, as names are unique in a schema."""

    def kind(self, connection: sa.Connection, table: Table, column: Column) -> Kind:  # noqa: ARG002  the type says it
        type = column.type.lower()
        return next((kind for starts, kind in _KINDS if type.startswith(starts)), Kind.OTHER)

    def refusal(self, connection: sa.Connection, table: Table, column: Column, value: str | None) -> str | None:
        if value is None:
            return None if column.nullable else "it may not be NULL"
        if refusal := self._type_refusal(connection, table, column, value):
            return refusal
        for check in self.checks(connection, table):
            try:
                refusal = refused_by(connection, column, sa.literal(value), [check])
            except DBAPIError:
                continue  # the check reads another column too
            if refusal:
                return refusal
        return None

    def checks(self, connection: sa.Connection, table: Table) -> list[tuple[str, str]]:
        query = sa.text(_CHECKS.format(same_table=self.same_check_table))
        found = connection.execute(query, {"schema": table.schema, "table": table.name})
        return [(check.name, check.clause.replace("\\'", "'")) for check in found]  # as MySQL 8 writes it

    def _type_refusal(self, connection: sa.Connection, table: Table, column: Column, value: str) -> str | None:
        type = column.type
        if type.lower().startswith("bit"):
            return None if value.isdecimal() else f"its type is {type}"
        if type.lower().startswith("enum"):
            labels = [label.replace("''", "'") for label in _LABEL.findall(type)]
            known = value.casefold() in (label.casefold() for label in labels)
            return None if known else f"it is one of {', '.join(labels)}"
        match self.kind(connection, table, column):
            case Kind.WORDS:
                most = _LENGTH.match(type.lower())
                return f"its type is {type}" if most and len(value) > int(most[1]) else None
            case Kind.TIME:
                zero = value.startswith("0000-00-00")  # under some modes a cast returns NULL for it
                read = sa.select(sa.cast(sa.literal(value), sa.DateTime()))
                return None if zero or connection.execute(read).scalar() is not None else f"its type is {type}"
            case Kind.OTHER:
                return None
            case _:
                return None if _NUMBER.fullmatch(value) else f"its type is {type}"

    def named(self, column: Column, value: str) -> str | int:
        # Of a text, the bits of its bytes would be stored: of '1' the number 49.
        return int(value) if column.type.lower().startswith("bit") else value

    def now(self, column: Column) -> sa.ColumnElement[Any]:
        if column.type.lower().startswith("timestamp"):
            return sa.func.now(sa.literal_column("6"))
        moment: sa.ColumnElement[Any] = sa.func.utc_timestamp(sa.literal_column("6"))
        return moment if self.zoneless(column) else sa.func.date_format(moment, "%Y-%m-%dT%H:%i:%s.%fZ")

    def clock(self, column: Column) -> Clock:
        default = (column.default or "").lower()
        return Clock.STATEMENT if "current_timestamp" in default or "now(" in default else Clock.OTHER

    def sorts_by_time(self, column: Column) -> bool:
        return column.type.lower() == "uuid"

    def zoneless(self, column: Column) -> bool:
        return column.type.lower().startswith("date")
