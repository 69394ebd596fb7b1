"""The table that a restore makes where none is: archived columns, their types and their key."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from batchops.archive.records import ArchivedTable
from batchops.db.row_loading import RowLoading
from batchops.db.table import quoted
from batchops.runtime.refusal import Refusal


class _Spelled(sa.types.UserDefinedType[Any]):
    """A type as the database spells it."""

    cache_ok = True

    def __init__(self, text: str) -> None:
        self.text = text

    def get_col_spec(self, **_: Any) -> str:
        """For the statement."""
        return self.text


def new_table(archived: ArchivedTable, schema: str | None, name: str, loading: RowLoading) -> CreateTable:
    """The statement that makes it. What the database computed is a column like others in it."""
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
    """Columns for which this database has no type."""
    return [
        Refusal(
            "types",
            f"{column.name}: its values are of several storage classes, which no column of this database can hold.",
            "restore into SQLite.",
        )
        for column in archived.columns
        if not loading.type_for(column, archived.family, in_key=False) and archived.family != loading.family
    ]
