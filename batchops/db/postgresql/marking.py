"""How PostgreSQL marks claimed rows: by one statement, which also returns whether they are still pending."""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from batchops.db.claims import Marked, MarkedLater
from batchops.db.postgresql.joined_statements import Found
from batchops.db.postgresql.keys import LONGEST_LIST, arrays_of, listed, out
from batchops.db.postgresql.repeated import RepeatedStatement
from batchops.db.table import Table
from batchops.db.types import KeyValue

# The values that RETURNING returns are final unless code of the table runs afterwards: any trigger may change rows
# that this statement has returned, and so may a foreign key that sets columns of its own table.
_UNDISTURBED = """(
  SELECT NOT c.relhassubclass AND NOT c.relhasrules AND NOT (c.relhastriggers AND EXISTS (
    SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgfoid <> ALL (CAST(ARRAY[
      'pg_catalog."RI_FKey_check_ins"', 'pg_catalog."RI_FKey_check_upd"', 'pg_catalog."RI_FKey_noaction_upd"',
      'pg_catalog."RI_FKey_noaction_del"', 'pg_catalog."RI_FKey_restrict_upd"', 'pg_catalog."RI_FKey_restrict_del"'
    ] AS regproc[]))))
  FROM pg_catalog.pg_class c WHERE c.oid = CAST(:oid AS oid))"""

TRUSTED = 1.0
"""Seconds for which batchops relies on having seen no such code; a trigger made meanwhile is noticed after them."""


class PostgreSQLMarking:
    """Marks claimed rows by UPDATE or DELETE … RETURNING, and tells which were changed and whether any is pending."""

    def __init__(
        self, table: Table, names: Sequence[str], statement: Callable[[Any], sa.Update | sa.Delete],
        condition: sa.ColumnElement[bool] | sa.TextClause | None, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._table = table
        self._names = names
        self._statement_of = statement
        self._condition = condition
        self._lists = [f"list{i}" for i in range(len(names))]
        types = dict.fromkeys((*self._lists, "token"), sa.Text())
        undisturbed = sa.text(_UNDISTURBED).bindparams(oid=int(table.identity))
        self._asking = RepeatedStatement(partial(self._statement, undisturbed), types)
        self._trusting = RepeatedStatement(partial(self._statement, sa.true()), types)
        self._clock = clock
        self._trusted_until = -math.inf
        """Until when batchops relies on the last check for such code, which takes an eighth of the statement's time."""

    def __call__(self, connection: sa.Connection, keys: Sequence[KeyValue], token: str) -> MarkedLater:
        answers: list[Callable[[], Found]] = []
        asks = self._clock() >= self._trusted_until
        statement = self._asking if asks else self._trusting
        for start in range(0, len(keys), LONGEST_LIST):
            arrays = arrays_of(self._table, self._names, keys[start : start + LONGEST_LIST])
            lists = dict(zip(self._lists, arrays, strict=True))
            answers.append(statement.rows_later(connection, token=token, **lists))
        return lambda: self._marked(answers, asks=asks)

    def _marked(self, answers: Sequence[Callable[[], Found]], *, asks: bool) -> Marked:
        changed, pending, width = set[KeyValue](), set[bool | None](), len(self._names)
        for answer in answers:
            columns = list(zip(*answer(), strict=True))  # by columns, so that no Python code runs for each row
            changed.update(zip(*columns[:width], strict=True))
            pending.update(*columns[width:])
        if asks and pending == {False}:
            self._trusted_until = self._clock() + TRUSTED
        return Marked(changed, True if True in pending else None if None in pending else False)

    def _statement(
        self, undisturbed: sa.ColumnElement[bool] | sa.TextClause, token: Any, **lists: Any
    ) -> sa.Update | sa.Delete:  # fmt: skip
        texts = [
            text if isinstance(text, sa.BindParameter) else sa.bindparam(None, text, sa.Text)
            for text in lists.values()
        ]  # fmt: skip
        mine = self._statement_of(token).where(listed(self._table, self._names, texts))
        returned = [*(out(self._table, name) for name in self._names), self._pending(mine, undisturbed)]
        return mine.returning(*(column.label(f"c{i}") for i, column in enumerate(returned)))

    def _pending(
        self, statement: sa.Update | sa.Delete, undisturbed: sa.ColumnElement[bool] | sa.TextClause
    ) -> sa.ColumnElement[Any]:  # fmt: skip
        if self._condition is None:
            return sa.null()
        # For a deleted row, RETURNING returns the last values, for which the condition may hold.
        still = sa.false() if isinstance(statement, sa.Delete) else sa.func.coalesce(self._condition, sa.false())
        return sa.case((undisturbed, still))
