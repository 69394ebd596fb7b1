"""JobIdentity, Run and Worker: a job, its runs and their workers, as the ledger keeps them."""

import json
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from batchops.db.table import TableIdentity, label_of

DETACHED, DROPPED, DROPPED_ROWS = "detached", "dropped", "dropped_rows"
"""Pinned values of a run that drops partitions: the one that is detached now, those that it has dropped, their rows."""


@dataclass(frozen=True)
class JobIdentity:
    """A job as the user asked for it; its key includes the database's id, but not the `evidence` about the table."""

    verb: str
    schema: str | None
    table: str
    spec: Mapping[str, Any]
    """The condition, the assignments and the values as the user wrote them."""
    evidence: TableIdentity

    def key(self, database_id: str) -> str:
        """Return the key of the job in this database."""
        return _hash([database_id, self.verb, self.schema, self.table, self.spec])

    @property
    def work(self) -> str:
        """The key of the same work on any table."""
        return _hash([self.verb, self.spec])


def _hash(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Worker:
    """One worker's row: its checkpoint, its counts and its fencing token."""

    run: int
    number: int
    token: str
    cursor: str
    """JSON that only the strategy reads."""
    batches: int = 0
    rows: int = 0
    read: int = 0
    locked: int = 0
    rejected: int = 0
    tables: Mapping[str, int] = field(default_factory=dict)
    """The rows changed by table in a purge with children."""

    def advanced(
        self, cursor: str, *, rows: int, read: int, locked: int, rejected: int, tables: Mapping[str, int] | None = None
    ) -> "Worker":  # fmt: skip
        """Return this worker after one more batch, with the batch added to its counts."""
        return replace(
            self,
            cursor=cursor,
            batches=self.batches + 1,
            rows=self.rows + rows,
            read=self.read + read,
            locked=self.locked + locked,
            rejected=self.rejected + rejected,
            tables=Counter(self.tables) + Counter(tables) if tables else self.tables,
        )


@dataclass(frozen=True)
class Run:
    """A run as the ledger keeps it; `state` is "running" or the reason why the run ended."""

    run: int
    job: str
    verb: str
    table: str
    strategy: str
    state: str
    spec: dict[str, Any]
    """What the user asked for: condition, assignments."""
    pinned: dict[str, Any]
    """What is pinned for the whole run: the condition with its times, the key."""
    by: dict[str, Any]
    format: int
    started_at: float
    ended_at: float | None
    error: str | None
    evidence: TableIdentity
    """The identity that the table had on the server."""
    workers: tuple[Worker, ...] = ()

    @property
    def rows(self) -> int:
        return sum(worker.rows for worker in self.workers) + int(self.pinned.get(DROPPED_ROWS, 0))

    @property
    def detached(self) -> str:
        """The partition that the run has detached, and neither dropped nor attached again; empty for none."""
        one = self.pinned.get(DETACHED)
        if not one:
            return ""
        return f"{label_of(one['schema'], one['name'])} of {label_of(one['parent_schema'], one['parent'])}"

    @property
    def rejected(self) -> int:
        return sum(worker.rejected for worker in self.workers)

    @property
    def locked(self) -> int:
        return sum(worker.locked for worker in self.workers)

    @property
    def read(self) -> int:
        return sum(worker.read for worker in self.workers)

    @property
    def batches(self) -> int:
        return sum(worker.batches for worker in self.workers)

    @property
    def tables(self) -> Counter[str]:
        """The rows changed by table in a purge with children."""
        return sum((Counter(worker.tables) for worker in self.workers), Counter())


def new_token() -> str:
    """Return a new fencing token."""
    return secrets.token_hex(8)


def worker_of(row: Any) -> Worker:
    """Return the worker that a row describes."""
    return Worker(
        row["run"], row["worker"], row["token"], row["cursor"],
        row["batches"], row["rows_changed"], row["rows_read"], row["rows_locked"], row["rows_rejected"],
        json.loads(row["rows_by_table"] or "{}"),
    )  # fmt: skip


def run_of(row: Any, workers: tuple[Worker, ...]) -> Run:
    """Return the run that a row describes, with its workers."""
    return Run(
        run=row["run"], job=row["job"], verb=row["verb"], table=row["table_name"], strategy=row["strategy"],
        state=row["state"], spec=json.loads(row["spec"]), pinned=json.loads(row["pinned"]),
        by=json.loads(row["started_by"]), format=row["format"], started_at=row["started_at"],
        ended_at=row["ended_at"], error=row["error"],
        evidence=TableIdentity(row["table_identity"], row["storage_identity"]), workers=workers,
    )  # fmt: skip
