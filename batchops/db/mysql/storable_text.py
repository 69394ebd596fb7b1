"""What a text column of MySQL or MariaDB can hold."""

import sqlalchemy as sa

from batchops.db.storable_text import BASIC, TextRoom, codec_of

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


def text_room(connection: sa.Connection, schema: str | None, table: str, column: str) -> TextRoom:
    """By the character sets of the session and the column, and the column's length, where it is one of text."""
    client = codec_of(connection.execute(_CLIENT).scalar_one(), _KNOWN)
    values = {"schema": schema, "name": table, "column": column}
    charset, characters, octets = connection.execute(_COLUMN, values).one_or_none() or (None, None, None)
    codecs = (client,) if charset is None else (client, codec_of(charset, _KNOWN))
    return TextRoom(codecs, characters, octets)
