"""Claims in MySQL and MariaDB: neither has UPDATE … RETURNING, so rows are locked first and changed by key."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from batchops.db.byte_limit import RowBytes
from batchops.db.claims import OrderBy, joined
from batchops.db.keyed_claims import KeyedClaims
from batchops.db.keys import Keys
from batchops.db.mysql import keys
from batchops.db.mysql.keys import MySQLKeys
from batchops.db.table import Column, Table, quoted
from batchops.db.types import KeyValue
from batchops.errors import TransientError

_ENGINE = sa.text(
    "SELECT version() AS version, (SELECT engine FROM information_schema.tables"
    " WHERE table_schema = coalesce(:schema, database()) AND table_name = :name) AS engine"
)
_LENGTH = re.compile(r"\w+\((\d+)\)")
_LARGE = ("text", "mediumtext", "longtext", "blob", "mediumblob", "longblob", "json", "geometry")
_LETTERS = ("char", "varchar", "tinytext", *_LARGE)
_SHORT = 64
_LETTER = 4
"""The most bytes of a character."""
_LONG_NAME = 400
_WIDE = re.compile(r"varchar\((\d+)\)|(?:medium|long)?text")
_COUNT = re.compile(r"(tiny|small|medium|big)?int(?:\(\d+\))?( unsigned)?( zerofill)?")
_BITS = {"tiny": 8, "small": 16, "medium": 24, None: 32, "big": 64}


class MySQLClaims(KeyedClaims):
    """Claims by FOR UPDATE SKIP LOCKED."""

    row_keys: Keys = MySQLKeys()

    product = "MySQL"
    skip_locked_since: tuple[int, int] = (8, 0)

    types: Mapping[str, str] = {
        "text": "varchar(500) CHARACTER SET utf8mb4", "long text": "mediumtext CHARACTER SET utf8mb4",
        "number": "double", "count": "integer NOT NULL DEFAULT 0",
    }  # fmt: skip

    def refusal(self, connection: sa.Connection, table: Table) -> str | None:
        row = connection.execute(_ENGINE, {"schema": table.schema, "name": table.name}).one()
        version = tuple(int(part) for part in re.findall(r"\d+", row.version)[:2])
        if version < self.skip_locked_since:
            known = f"{self.product} knows it since {'.'.join(map(str, self.skip_locked_since))}"
            return f"this server ({row.version}) does not know SKIP LOCKED; {known}"
        return None if row.engine == "InnoDB" else f"its engine, {row.engine}, locks no rows"

    def now(self) -> sa.ColumnElement[float]:
        return sa.func.unix_timestamp(sa.func.now(sa.literal_column("6")), type_=sa.Double())

    def free(self, select: sa.Select[Any]) -> sa.Select[Any]:
        return select.with_for_update(skip_locked=True)

    def ordered(self, table: Table, by: OrderBy) -> Sequence[sa.ColumnElement[Any]]:
        column = table.called.c[quoted(by.column)]
        ordered = column.desc() if by.down else column.asc()
        if by.nulls is None:
            return [ordered]
        return [column.is_(None).desc() if by.nulls == "first" else column.is_(None), ordered]

    def change(
        self, connection: sa.Connection, table: Table, names: Sequence[str], statement: sa.Update | sa.Delete
    ) -> Sequence[KeyValue]:
        held = sa.select(*(keys.out(table, name) for name in names)).select_from(table.called)
        if statement.whereclause is not None:
            held = held.where(statement.whereclause)
        # Not FOR UPDATE: the server may scan a small table for a list of keys, and wait for rows locked by others.
        rows = connection.execute(held).all()
        if isinstance(statement, sa.Update):  # a DELETE may have a condition that reads its own table
            statement = keys.by_index(table, names, statement)
        if rows and connection.execute(statement).rowcount != len(rows):
            raise TransientError("Another session has changed the locked rows.")
        return [tuple(row) for row in rows]

    def row_name(self, table: Table, names: Sequence[str]) -> sa.ColumnElement[str]:
        name = joined([keys.text_of(table, one) for one in names], lambda part: sa.cast(sa.func.length(part), sa.CHAR))
        if not any(keys.base(table.column(one)) in (*_LETTERS, *keys.BINARY) for one in names):
            return name
        # A comparison ignores blanks at the end.
        marked = sa.case((sa.or_(name.endswith(" "), name.endswith("|")), sa.func.concat(name, "|")), else_=name)
        long = sa.or_(sa.func.char_length(name) > _LONG_NAME, name.startswith("#"))
        return sa.case((long, sa.func.concat("#", sa.func.sha2(name, sa.literal_column("256")))), else_=marked)

    def key_from_text(self, column: Column, text: str) -> Any:
        is_hex = keys.base(column) in keys.BINARY and re.fullmatch(r"(?:[0-9A-Fa-f]{2})*", text)
        return bytes.fromhex(text) if is_hex else text

    def row_bytes(self, table: Table, names: Sequence[str]) -> RowBytes:
        of_row: sa.ColumnElement[int] = sa.literal_column("0", sa.BigInteger())
        most: int | None = 0
        for name in names:
            column, kind = table.column(name), keys.base(table.column(name))
            widest: int | None = _SHORT
            if kind in (*_LETTERS, *keys.BINARY):
                of_row = of_row + sa.func.coalesce(sa.func.length(table.called.c[quoted(name)]), 0)
                length = _LENGTH.match(column.type)
                widest = None if kind in _LARGE else _LETTER * int(length[1] if length else 255)
            else:
                of_row = of_row + _SHORT
            most = None if most is None or widest is None else most + widest
        return RowBytes(of_row, most)

    def serves(self, column: Column, kind: str, width: int) -> bool:
        type_ = column.type.lower()
        if kind.endswith("text"):
            found = _WIDE.fullmatch(type_)
            return found is not None and (found[1] is None or int(found[1]) >= width)
        return _COUNT.fullmatch(type_) is not None if kind == "count" else type_.startswith("double")

    def most(self, column: Column) -> int:
        found = _COUNT.fullmatch(column.type.lower())
        assert found is not None  # only for a column that `serves` accepts
        bits: int = _BITS[found[1]]
        return (1 << (bits if found[2] else bits - 1)) - 1

    def is_own(self, column: Column, kind: str) -> bool:
        own = {"text": "varchar(500)", "long text": "mediumtext", "number": "double", "count": "int"}[kind]
        return re.sub(r"^int\(\d+\)$", "int", column.type.lower()) == own

    def check_at_once(self, connection: sa.Connection) -> None:
        pass  # each statement makes its checks itself

    def kept(self, table: Table, name: str) -> sa.ColumnElement[Any]:
        if keys.base(table.column(name)) == "float":  # its own text is rounded
            return sa.cast(sa.cast(table.called.c[quoted(name)], sa.Double), sa.CHAR)
        return keys.text_of(table, name)

    def restored(self, column: Column, kept: Any) -> sa.ColumnElement[Any]:
        text = sa.bindparam(None, kept, sa.String())
        return sa.func.unhex(text) if keys.base(column) in keys.BINARY else text

    def age(self, column: Column, value: sa.ColumnElement[Any]) -> sa.ColumnElement[float] | None:
        if not column.type.startswith(("timestamp", "datetime")):
            return None
        now = sa.func.now(sa.literal_column("6"))
        microseconds: sa.ColumnElement[float] = sa.func.timestampdiff(
            sa.literal_column("MICROSECOND"), value, now, type_=sa.Double()
        )
        return microseconds * sa.literal_column("1e-6", sa.Double())
