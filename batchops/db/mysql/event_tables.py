"""How MySQL and MariaDB make and read event tables, and PyMySQL's part in a user's own transaction."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.event_tables import EventTables
from batchops.db.mysql.keys import text_of
from batchops.db.table import Column, Table, quoted

# Transactions that have locked any table: the server does not show which ones. Readers have locked none.
# The name is not trx_id: a transaction gets another one with its first change.
_WRITERS = sa.text(
    "SELECT concat(trx_mysql_thread_id, ' ', trx_started) FROM information_schema.innodb_trx"
    " WHERE (trx_tables_locked > 0 OR trx_rows_modified > 0) AND trx_mysql_thread_id <> connection_id()"
)
_NUMBERS = ("tinyint", "smallint", "mediumint", "int", "bigint")
_LIST = 1_000


class MySQLEvents:
    """Uses an index by the time of sending, and rows that writers lock to wait for each other."""

    types: Mapping[str, str] = {
        "id": "bigint NOT NULL AUTO_INCREMENT PRIMARY KEY",
        "name": "varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL",
        "text": "longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "binary": "longblob", "json": "json",
        "created": "timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)", "sent": "timestamp(6) NULL",
    }  # fmt: skip
    unsent_index = "({sent}, {id})"
    lock_rows = 1024

    def is_number(self, column: Column) -> bool:
        return column.type.lower().startswith(_NUMBERS)

    def text(self, table: Table, name: str) -> sa.ColumnElement[str]:
        return text_of(table, name)

    def among(self, table: Table, name: str, ids: Sequence[Any]) -> Iterator[sa.ColumnElement[bool]]:
        for start in range(0, len(ids), _LIST):
            yield table.called.c[quoted(name)].in_(ids[start : start + _LIST])

    def content(self, table: Table, name: str) -> sa.ColumnElement[Any]:
        return table.called.c[quoted(name)]

    def is_document(self, column: Column) -> bool:  # noqa: ARG002  a document is a text here
        return False

    def hashed(self, text: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
        return sa.func.crc32(text, type_=sa.BigInteger()).bitwise_and(0x7FFFFFFF)

    def writers(self, connection: sa.Connection, table: Table) -> frozenset[str] | None:  # noqa: ARG002  of all tables
        try:
            return frozenset(connection.execute(_WRITERS).scalars())
        except DBAPIError:  # it needs the right PROCESS, which an ordinary account does not have
            return None

    def disorder(self, *_: object) -> str | None:
        return None

    def writer_lock(self, aggregates: Sequence[str]) -> tuple[str, Sequence[Any]] | None:
        # GET_LOCK does not end with the transaction: the lock would be released before COMMIT, or never.
        numbers = sorted({zlib.crc32(aggregate.encode()) % self.lock_rows for aggregate in aggregates})
        places = ", ".join("?" for _ in numbers)
        query = f"SELECT number FROM batchops_writer_lock WHERE number IN ({places}) ORDER BY number FOR UPDATE"
        return query, numbers


class PyMySQL:
    """How to use PyMySQL in a user's own transaction."""

    quote, place, binary = "`", "%s", ""
    events: EventTables = MySQLEvents()

    def alone(self, connection: Any) -> bool:
        in_transaction = 1  # SERVER_STATUS.SERVER_STATUS_IN_TRANS
        return bool(connection.get_autocommit() and not connection.server_status & in_transaction)
