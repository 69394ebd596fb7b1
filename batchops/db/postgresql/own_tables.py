"""What batchops' own tables need on PostgreSQL."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from batchops.db.storable_text import TextRoom, codec_of

_ROOM = sa.text("""
SELECT current_setting('client_encoding'), current_setting('server_encoding'), (
    SELECT character_maximum_length FROM information_schema.columns
    WHERE table_schema = :schema AND table_name = :name AND column_name = :column
)
""").bindparams(*(sa.bindparam(name, type_=sa.Text) for name in ("schema", "name", "column")))
_KNOWN = (("sql_ascii", "ascii"), *((f"win{page}", f"cp{page}") for page in (866, 874, *range(1250, 1259))))


class PostgreSQLOwnTables:
    """PostgreSQL's clock, its INSERT that skips existing rows, and what its text columns can hold."""

    def epoch(self) -> sa.ColumnElement[float]:
        return sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()), sa.Double)

    def insert_once(self, table: sa.Table) -> sa.Insert:
        return insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)

    def text_room(self, connection: sa.Connection, schema: str | None, table: str, column: str) -> TextRoom:
        """Return the column's room by the encodings of the session and the database, and by its length."""
        client, server, length = connection.execute(_ROOM, {"schema": schema, "name": table, "column": column}).one()
        return TextRoom((codec_of(client, _KNOWN), codec_of(server, _KNOWN)), length)
