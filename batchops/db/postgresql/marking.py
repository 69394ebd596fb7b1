"""How PostgreSQL marks claimed rows: by one statement, which also returns whether they are still pending."""

import math
import time
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import sqlalchemy as sa

from batchops.db.claims import Marked, MarkedLater
from batchops.db.postgresql.joined_statements import Found
from batchops.db.postgresql.keys import LONGEST_LIST, are_numbers, arrays_of, listed, out, since, upto
from batchops.db.postgresql.repeated import RepeatedStatement
from batchops.db.table import Table
from batchops.db.types import KeyValue
from batchops.errors import TransientError

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


SPAN = 4
"""A range of keys may be this many times as wide as the number of its rows; else a list is faster."""


class PostgreSQLMarking:
    """Marks claimed rows by UPDATE or DELETE … RETURNING, and tells which were changed and whether any is pending."""

    def __init__(
        self, table: Table, names: Sequence[str], statement: Callable[[Any], sa.Update | sa.Delete],
        condition: sa.ColumnElement[bool] | sa.TextClause | None, *, in_order: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._table = table
        self._names = names
        self._statement_of = statement
        self._condition = condition
        self._lists = [f"list{i}" for i in range(len(names))]
        undisturbed = sa.text(_UNDISTURBED).bindparams(oid=int(table.identity))
        self._asking = self._statements(undisturbed)
        self._trusting = self._statements(sa.true())
        self._clock = clock
        self._trusted_until = -math.inf
        """Until when batchops relies on the last check for such code, which takes an eighth of the statement's time."""
        self._by_range = in_order and are_numbers(table, names)
        """Whether the rows of a claim are marked as those between its first and its last key that have its token."""

    def __call__(
        self, connection: sa.Connection, keys: Sequence[KeyValue], token: str, held: int | None = None
    ) -> MarkedLater:
        asks = self._clock() >= self._trusted_until
        listing, ranging = self._asking if asks else self._trusting
        if self._by_range and 0 < len(keys) == held and (ends := _ends(keys)) is not None:
            answers = [ranging.rows_later(connection, token=token, low=ends[0], high=ends[1])]
            return lambda: self._only(keys, self._marked(keys, answers, asks=asks))
        answers = []
        for start in range(0, len(keys), LONGEST_LIST):
            arrays = arrays_of(self._table, self._names, keys[start : start + LONGEST_LIST])
            lists = dict(zip(self._lists, arrays, strict=True))
            answers.append(listing.rows_later(connection, token=token, **lists))
        return lambda: self._marked(keys, answers, asks=asks)

    def _marked(self, keys: Sequence[KeyValue], answers: Sequence[Callable[[], Found]], *, asks: bool) -> Marked:
        # By columns, so that no Python code runs for each row.
        columns = list(zip(*chain.from_iterable(answer() for answer in answers), strict=True))
        changed: list[KeyValue] = list(zip(*columns[:-1], strict=True))
        pending: set[bool | None] = set(*columns[-1:])
        if asks and pending == {False}:
            self._trusted_until = self._clock() + TRUSTED
        still = True if True in pending else None if None in pending else False
        return Marked(keys if changed == keys else set(changed), still)

    def _only(self, keys: Sequence[KeyValue], marked: Marked) -> Marked:
        """Return `marked`; raise TransientError if it has rows that are not in `keys`: copies made with the lease."""
        if marked.keys is not keys and not set(keys).issuperset(marked.keys):
            self._by_range = False
            raise TransientError("A row has the lease of another row, of which it is a copy.")
        return marked

    def _statements(
        self, undisturbed: sa.ColumnElement[bool] | sa.TextClause
    ) -> tuple[RepeatedStatement, RepeatedStatement]:
        """Return the statement for lists of keys, and the one for all rows of a token in a range of keys."""

        def told(statement: sa.Update | sa.Delete) -> sa.Update | sa.Delete:
            columns = [*(out(self._table, name) for name in self._names), self._pending(statement, undisturbed)]
            return statement.returning(*(column.label(f"c{i}") for i, column in enumerate(columns)))

        def by_lists(token: Any, **lists: Any) -> sa.Update | sa.Delete:
            texts = [
                text if isinstance(text, sa.BindParameter) else sa.bindparam(None, text, sa.Text)
                for text in lists.values()
            ]  # fmt: skip
            return told(self._statement_of(token).where(listed(self._table, self._names, texts)))

        def by_range(token: Any, low: Any, high: Any) -> sa.Update | sa.Delete:
            ends = since(self._table, self._names, (low,)), upto(self._table, self._names, (high,))
            return told(self._statement_of(token).where(*ends))

        text = sa.Text()
        lists = RepeatedStatement(by_lists, dict.fromkeys((*self._lists, "token"), text))
        return lists, RepeatedStatement(by_range, {"token": text, "low": text, "high": text})

    def _pending(
        self, statement: sa.Update | sa.Delete, undisturbed: sa.ColumnElement[bool] | sa.TextClause
    ) -> sa.ColumnElement[Any]:  # fmt: skip
        if self._condition is None:
            return sa.null()
        # For a deleted row, RETURNING returns the last values, for which the condition may hold.
        still = sa.false() if isinstance(statement, sa.Delete) else sa.func.coalesce(self._condition, sa.false())
        return sa.case((undisturbed, still))


def _ends(keys: Sequence[KeyValue]) -> tuple[str, str] | None:
    """Return the first and the last key; None if many other keys may lie between them."""
    (low,), (high,) = keys[0], keys[-1]
    return (low, high) if int(high) - int(low) < SPAN * len(keys) else None
