"""Rejected rows in the ledger: kept by key with their reasons, and tried again when the run is continued."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from batchops.db.json_values import decode, encode
from batchops.db.types import KeyValue
from batchops.events import Rejected
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import Run

MOST = 10_000
"""How many rows one run tries again: each is in the cursor until then, and every batch writes the cursor."""
LOCKED = "locked by another session at every visit"
CHANGED = "changed after the rows were listed"
_PARTIAL = "; what was deleted of its children before is gone"
UNMATCHED = f"no longer matches{_PARTIAL}"
NOT_RETRIED = (CHANGED, UNMATCHED)
KEEPS, NEEDED, NEEDED_BY_KEPT = (
    " keeps rows of ",
    "rows that do not match refer to it by ",
    "a row that stays refers to it by ",
)
_BY_RULE = (f"--edge{KEEPS}", f"--stop-at{KEEPS}", NEEDED, NEEDED_BY_KEPT)
"""How a reason begins that the condition or an option of the job gives, and not the database."""


@dataclass(frozen=True)
class RejectedRow:
    """A matching row that was not changed."""

    key: KeyValue
    name: str
    reason: str
    locked: bool = False

    @property
    def as_event(self) -> Rejected:
        """The row as a Rejected event."""
        return Rejected(
            self.name, self.reason, changed=self.reason == CHANGED, unmatched=self.reason == UNMATCHED,
            partial=self.partial, ruled=self.ruled,
        )  # fmt: skip

    @property
    def ruled(self) -> bool:
        """Whether the job's own condition or options keep it."""
        return self.reason.startswith(_BY_RULE)

    @property
    def partial(self) -> bool:
        """Whether some of the row's children are deleted."""
        return self.reason.endswith(_PARTIAL)


def begun(reason: str) -> str:
    """Return the reason for a refused row, with the remark that some of its children are deleted."""
    return f"{reason}{_PARTIAL}"


def keep(connection: sa.Connection, ledger: Ledger, run: int, rows: Sequence[RejectedRow]) -> None:
    """Record rejected rows in the transaction of the batch that skipped them."""
    name, reason = (ledger.storable[column] for column in (ledger.rejected.c.row_name, ledger.rejected.c.reason))
    values = [
        {
            "run": run, "row_key": json.dumps([encode(value) for value in row.key]),
            "row_name": name(connection, row.name), "reason": reason(connection, row.reason), "locked": int(row.locked),
        }
        for row in rows
    ]  # fmt: skip
    if values:
        connection.execute(ledger.rejected.insert(), values)


def kept(connection: sa.Connection, ledger: Ledger, run: int, most: int = MOST) -> list[RejectedRow]:
    """Return the rejected rows that are recorded for a run, in the order in which they were found."""
    rejected = ledger.rejected
    rows = sa.select(rejected).where(rejected.c.run == run).order_by(rejected.c.number).limit(most)
    return [_row(row) for row in connection.execute(rows)]


def to_retry(connection: sa.Connection, ledger: Ledger, run: int, most: int = MOST) -> list[RejectedRow]:
    """Return the rejected rows that are worth another try; a row that changed after it was listed is not."""
    return [_row(row) for row in connection.execute(_first(ledger, run, most))]


def take_up(
    connection: sa.Connection, ledger: Ledger, run: Run, coming_back: Callable[[str, Sequence[RejectedRow]], str]
) -> Run:
    """Move the rows to retry from the ledger's table into the first worker's cursor, so that each is tried again.

    `coming_back` returns the cursor that visits these rows as well.
    """
    rejected, workers = ledger.rejected, ledger.workers
    rows = to_retry(connection, ledger, run.run)
    if not rows or not run.workers:
        return run
    last = connection.execute(sa.select(sa.func.max(_first(ledger, run.run, MOST).subquery().c.number))).scalar_one()
    connection.execute(rejected.delete().where(*_retried(ledger, run.run), rejected.c.number <= last))
    first = run.workers[0]
    cursor = coming_back(first.cursor, rows)
    locked = sum(row.locked for row in rows)
    mine = workers.c.run == run.run
    left = {"rows_rejected": run.rejected - len(rows) + locked, "rows_locked": run.locked - locked}
    connection.execute(workers.update().where(mine).values(rows_rejected=0, rows_locked=0))
    connection.execute(workers.update().where(mine, workers.c.worker == first.number).values(cursor=cursor, **left))
    return ledger.one(connection, run.run)


def _first(ledger: Ledger, run: int, most: int) -> sa.Select[Any]:
    rejected = ledger.rejected
    return sa.select(rejected).where(*_retried(ledger, run)).order_by(rejected.c.number).limit(most)


def _retried(ledger: Ledger, run: int) -> tuple[sa.ColumnElement[bool], ...]:
    return ledger.rejected.c.run == run, ledger.rejected.c.reason.not_in(NOT_RETRIED)


def _row(row: Any) -> RejectedRow:
    key = tuple(decode(value) for value in json.loads(row.row_key))
    return RejectedRow(key, row.row_name, row.reason, bool(row.locked))


def count_of(connection: sa.Connection, ledger: Ledger, run: int, reason: str) -> int:
    """Return how many of a run's rows were left alone for this reason."""
    return _count(connection, ledger, run, ledger.rejected.c.reason == reason)


def count_partial(connection: sa.Connection, ledger: Ledger, run: int) -> int:
    """Return how many of a run's rejected rows have lost some of their children."""
    return _count(connection, ledger, run, ledger.rejected.c.reason.endswith(_PARTIAL))


def _count(connection: sa.Connection, ledger: Ledger, run: int, which: sa.ColumnElement[bool]) -> int:
    rows = sa.select(sa.func.count()).where(ledger.rejected.c.run == run, which)
    return int(connection.execute(rows).scalar_one())
