"""Which rows of a batch the table's own checks will probably refuse: a hint of what to try alone, no more."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.bulk.operations import Operation
from batchops.bulk.strategies.batch import Part
from batchops.db.database import Database
from batchops.db.table import Table, quoted
from batchops.errors import TransientError


class Foresight:
    """Asks for the rows as they would be afterwards; ends for good once it cannot, or was of no use."""

    def __init__(self, database: Database, operation: Operation) -> None:
        self._family = database.family
        self._database = database
        self._operation = operation
        self._checks: dict[str, Sequence[str]] = {}
        """What holds for a row of a table, by the table's identity."""
        self._ended = False

    def __call__(self, connection: sa.Connection, part: Part) -> frozenset[int]:
        """Their places in the part's list. What the values did besides, as they were evaluated, is undone."""
        row = self._operation.afterwards(part)
        if self._ended or not row:
            return frozenset()
        connection.exec_driver_sql("SAVEPOINT foresight")
        found: frozenset[int] = frozenset()
        try:
            found = self._asked(connection, part, row)
        except DBAPIError as error:  # a value that cannot be evaluated for one of the rows, for the most part
            if isinstance(self._database.error(error), TransientError):
                raise  # the server may have undone the whole transaction
            self._ended = True
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT foresight")
        return found

    def judge(self, foreseen: int, of_these: int, others: int) -> None:
        """Of so many foreseen rows so many were refused, and so many others."""
        self._ended = self._ended or 2 * of_these < foreseen or (not foreseen and others > 0)

    def _asked(
        self, connection: sa.Connection, part: Part, row: Sequence[sa.ColumnElement[bool]]
    ) -> frozenset[int]:  # fmt: skip
        table = part.selection.table
        if table.identity not in self._checks:
            self._checks[table.identity] = self._of(connection, table)
        if not self._checks[table.identity]:
            return frozenset()
        key = [self._family.key_out(table, name).label(f"batchops_k{i}") for i, name in enumerate(part.key)]
        rows = table.alone(sa.select(*key, *row).select_from(table.called))
        where = self._family.among(table, part.key, part.keys)
        after = rows.where(where, part.selection.clause).subquery(quoted(table.alias or table.name))
        refused = [sa.not_(sa.literal_column(f"({text})", sa.Boolean())) for text in self._checks[table.identity]]
        found = connection.execute(sa.select(*(after.c[column.name] for column in key)).where(sa.or_(*refused)))
        place = {repr(value): i for i, value in enumerate(part.keys)}
        keys = (repr(tuple(self._family.key_value(value) for value in values)) for values in found)
        return frozenset(place[text] for text in keys if text in place)

    def _of(self, connection: sa.Connection, table: Table) -> list[str]:
        quote = self._family.words.quote
        filled = [
            f"{quote}{column.name.replace(quote, 2 * quote)}{quote} IS NOT NULL"
            for column in table.columns
            if not column.nullable and not column.generated
        ]
        return [*(text for _, text in self._family.contents.checks(connection, table)), *filled]
