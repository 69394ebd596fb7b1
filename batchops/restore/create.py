"""Makes a missing table for a restore, with the archived columns, their types and their key."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from batchops.archive.records import ArchivedTable
from batchops.db.row_loading import RowLoading
from batchops.db.table import quoted
from batchops.runtime.refusal import Refusal


class _Spelled(sa.types.UserDefinedType[Any]):
    """A column type, given in the database's own SQL."""

    cache_ok = True

    def __init__(self, text: str) -> None:
        self.text = text

    def get_col_spec(self, **_: Any) -> str:
        """Return the SQL of the type."""
        return self.text


def new_table(archived: ArchivedTable, schema: str | None, name: str, loading: RowLoading) -> CreateTable:
    """Return the statement that makes the table. A generated column becomes an ordinary one in it."""
    columns: list[sa.Column[Any]] = [
        sa.Column(
            quoted(column.name),
            _Spelled(loading.type_for(column, archived.family, in_key=column.name in archived.key)),
            nullable=column.nullable,  # a key of SQLite may hold NULLs
        )
        for column in archived.columns
    ]
    key = [sa.PrimaryKeyConstraint(*map(quoted, archived.key))] if archived.key else []
    own_schema = None if schema is None else quoted(schema)
    return CreateTable(sa.Table(quoted(name), sa.MetaData(), *columns, *key, schema=own_schema))


def untaken(archived: ArchivedTable, loading: RowLoading) -> Sequence[Refusal]:
    """Return a refusal for each archived column that this database has no type for."""
    return [
        Refusal(
            "types",
            f"{column.name}: its values are of several storage classes, which no column of this database can hold.",
            "restore into SQLite.",
        )
        for column in archived.columns
        if not loading.type_for(column, archived.family, in_key=False) and archived.family != loading.family
    ]
