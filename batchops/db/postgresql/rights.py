"""Rights in PostgreSQL: of the table, or of the columns that are read or written."""

from collections.abc import Sequence

import sqlalchemy as sa

from batchops.db.table import Table

# A grant on the table counts for each of its columns.
_COLUMNS = sa.text(
    "SELECT name FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS c (name, place)"
    " WHERE NOT pg_catalog.has_column_privilege(CAST(:oid AS oid), name, :right) ORDER BY place"
)
_ANY = {
    "DELETE": sa.text("SELECT pg_catalog.has_table_privilege(CAST(:oid AS oid), :right)"),
    "": sa.text("SELECT pg_catalog.has_any_column_privilege(CAST(:oid AS oid), :right)"),
}


def missing_right(
    connection: sa.Connection, table: Table, right: str, columns: Sequence[str]
) -> tuple[str, ...] | None:  # fmt: skip
    """The columns without the right; empty: the table; None: nothing is missing."""
    asked = {"oid": table.identity, "right": right}
    if not columns:
        held = connection.execute(_ANY.get(right, _ANY[""]), asked).scalar_one()
        return None if held else ()
    missing = tuple(connection.execute(_COLUMNS, asked | {"names": list(columns)}).scalars())
    if not missing:
        return None
    return () if len(missing) == len(table.columns) else missing
