"""What batchops' own tables need on MySQL and MariaDB."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from batchops.db.own_tables import TableRename
from batchops.db.storable_text import BASIC, TextRoom, codec_of
from batchops.db.types import KeyText, LongText

_CLIENT = sa.text("SELECT @@character_set_client")
_COLUMN = sa.text("""
SELECT character_set_name, character_maximum_length, character_octet_length FROM information_schema.columns
WHERE table_schema = coalesce(:schema, database()) AND table_name = :name AND column_name = :column
""")
_KNOWN = (
    ("utf8mb4", "utf-8"), ("utf8", BASIC), ("utf8mb3", BASIC), ("ucs2", BASIC), ("latin1", "cp1252"),
    ("latin5", "iso8859-9"), ("latin7", "iso8859-13"), ("greek", "iso8859-7"), ("hebrew", "iso8859-8"),
    ("koi8r", "koi8-r"), ("koi8u", "koi8-u"), ("macroman", "mac-roman"), ("ujis", "euc-jp"), ("euckr", "euc-kr"),
    ("utf16", "utf-8"), ("utf16le", "utf-8"), ("utf32", "utf-8"),
)  # fmt: skip


@compiles(LongText, "mysql", "mariadb")
def _long_text(*_: object, **__: object) -> str:
    return "MEDIUMTEXT"  # a plain TEXT holds at most 64 KiB


@compiles(KeyText, "mysql", "mariadb")
def _key_text(type_: KeyText, *_: object, **__: object) -> str:
    return f"VARCHAR({type_.width}) COLLATE utf8mb4_bin"  # it needs a length; by default it ignores case


@compiles(TableRename, "mysql", "mariadb")
def _renamed(element: TableRename, compiler: Any, **_: Any) -> str:
    """Return the statement with the schema before the new name, which would otherwise be in the session's schema."""
    table, new = element.table, sa.Table(element.name, sa.MetaData(schema=element.table.schema))
    return f"ALTER TABLE {compiler.preparer.format_table(table)} RENAME TO {compiler.preparer.format_table(new)}"


class MySQLOwnTables:
    """The clock of MySQL, its INSERT that skips existing rows, and what its text columns can hold."""

    def epoch(self) -> sa.ColumnElement[float]:
        return sa.cast(sa.func.unix_timestamp(sa.func.now(6)), sa.Double)

    def insert_once(self, table: sa.Table) -> sa.Insert:
        # ON DUPLICATE KEY UPDATE would count a row that existed already, as SQLAlchemy has the server count rows found.
        return sa.insert(table).prefix_with("IGNORE").execution_options(preserve_rowcount=True)

    def text_room(self, connection: sa.Connection, schema: str | None, table: str, column: str) -> TextRoom:
        """Return the column's room by the character sets of session and column, and by the length of a text column."""
        client = codec_of(connection.execute(_CLIENT).scalar_one(), _KNOWN)
        values = {"schema": schema, "name": table, "column": column}
        charset, characters, octets = connection.execute(_COLUMN, values).one_or_none() or (None, None, None)
        codecs = (client,) if charset is None else (client, codec_of(charset, _KNOWN))
        return TextRoom(codecs, characters, octets)
