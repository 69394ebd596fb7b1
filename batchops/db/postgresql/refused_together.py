"""Whether PostgreSQL refuses every row of an UPDATE, in one statement rather than one for each row."""

import secrets
from collections.abc import Sequence

import sqlalchemy as sa

from batchops.db.table import Table, quoted

_BLOCK = """DO ${tag}$
#variable_conflict use_column
DECLARE batchops_k record;
BEGIN
  FOR batchops_k IN {rows} LOOP
    BEGIN
      {update};
      RAISE EXCEPTION 'not refused';
    EXCEPTION WHEN check_violation OR not_null_violation THEN NULL;
    END;
  END LOOP;
END ${tag}$"""
"""Tries each row as a statement of its own; the block raises an error if the server does not refuse a row."""


def refuses_each(connection: sa.Connection, update: sa.Update, _rows: int, table: Table, names: Sequence[str]) -> bool:
    """Return True if the server refuses every row.

    The driver's error otherwise: a row is not refused, or the role may not run a DO block.
    """
    key = [table.called.c[quoted(name)].label(f"k{i}") for i, name in enumerate(names)]
    assert update.whereclause is not None
    rows = table.alone(sa.select(*key).select_from(table.called).where(update.whereclause))
    one = update.where(*(column == sa.literal_column(f"batchops_k.{column.name}") for column in key))
    rows_text, update_text = (
        str(statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
        for statement in (rows, one)
    )
    connection.exec_driver_sql(_BLOCK.format(tag=f"b{secrets.token_hex(8)}", rows=rows_text, update=update_text))
    return True
