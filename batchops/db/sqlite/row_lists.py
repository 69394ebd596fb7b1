"""Lists of rows in SQLite: first read into a temporary table, then stored in short transactions."""

import hashlib
import marshal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from batchops.db.planner import prefixed
from batchops.db.row_lists import key_columns
from batchops.db.table import Table, count_rows, quoted, table_name

if TYPE_CHECKING:
    from batchops.db.database import Database

DIGEST = "batchops_digest"
_MOST = 100
"""The most arguments of one call of the function; an even number, as each value comes with its kind."""
_TEXT = sa.literal_column("'text'", sa.Text())
_AT_ONCE = 20_000
"""Rows that one transaction inserts."""
_READ = "batchops_read"


def digest(*values: Any) -> bytes:
    """Return a digest of the values, registered as a function with every connection, as SQLite has none.

    marshal takes half the time of a loop over the values. In its version 2, numbers and bytes, the only types here,
    have one form each.
    """
    return hashlib.blake2b(marshal.dumps(values, 2), digest_size=32).digest()


class SQLiteRowLists:
    """Makes lists by way of a temporary table: a COMMIT waits for readers, so nothing is written during the reading."""

    joins = False
    merges = False

    def proof(self, table: Table) -> sa.ColumnElement[Any]:
        """Return a digest of all columns but computed ones, and of their kinds, as text and bytes may look alike."""
        parts = []
        for name in table.writable_names:
            value = table.called.c[quoted(name)]
            kind = sa.func.typeof(value)
            parts += [kind == _TEXT, sa.case((kind == _TEXT, sa.cast(value, sa.LargeBinary)), else_=value)]
        some = [getattr(sa.func, DIGEST)(*parts[i : i + _MOST]) for i in range(0, len(parts), _MOST)]
        proof: sa.ColumnElement[Any] = some[0] if len(some) == 1 else getattr(sa.func, DIGEST)(*some)
        return proof

    def follows(self, values: int) -> bool:  # noqa: ARG002  however many
        return True

    def store(self, database: "Database", listed: Table, rows: sa.Select[Any]) -> int:
        with database.idle() as connection:
            connection.exec_driver_sql("PRAGMA query_only = OFF")
            prefixed(connection, rows, f"CREATE TEMP TABLE {_READ} AS")
            self._make(database, connection, listed)
            last = connection.exec_driver_sql(f"SELECT coalesce(max(rowid), 0) FROM {_READ}").scalar_one()
            name = table_name(connection.dialect, listed)
            for start in range(0, last, _AT_ONCE):
                some = f"SELECT * FROM temp.{_READ} WHERE rowid > {start} AND rowid <= {start + _AT_ONCE}"
                database.backend.sessions.begin(connection)
                connection.exec_driver_sql(f"INSERT INTO {name} {some}")
                connection.exec_driver_sql("COMMIT")
        with database.reading() as connection:
            return count_rows(connection, listed.clause)

    def _make(self, database: "Database", connection: sa.Connection, listed: Table) -> None:
        """Make the list's table with the key's own types, without which no index would serve a comparison with them."""
        quote = connection.dialect.identifier_preparer.quote_identifier
        columns = ", ".join(f"{quote(column.name)} {column.type}".rstrip() for column in listed.columns)
        name, key = table_name(connection.dialect, listed), key_columns(connection.dialect, listed)
        database.backend.sessions.begin(connection)
        connection.exec_driver_sql(f"CREATE TABLE {name} ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID")
        connection.exec_driver_sql("COMMIT")
