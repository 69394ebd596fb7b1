"""A run and its lanes, as the ledger keeps them."""

import json
import secrets
from dataclasses import dataclass, replace
from typing import Any

from batchops.db.table import TableIdentity


@dataclass(frozen=True)
class Lane:
    """One cursor's row. `token` proves that its holder is still the one at work."""

    run: int
    lane: int
    token: str
    cursor: str
    """JSON that only the strategy reads."""
    batches: int = 0
    rows: int = 0
    read: int = 0
    locked: int = 0
    rejected: int = 0

    def advanced(self, cursor: str, *, rows: int, read: int, locked: int, rejected: int) -> "Lane":
        """This lane one batch later, with what the batch adds to its counts."""
        return replace(
            self,
            cursor=cursor,
            batches=self.batches + 1,
            rows=self.rows + rows,
            read=self.read + read,
            locked=self.locked + locked,
            rejected=self.rejected + rejected,
        )


@dataclass(frozen=True)
class Run:
    """A run as the ledger keeps it. `state` is "running" or the reason it ended."""

    run: int
    job: str
    verb: str
    table: str
    walk: str
    state: str
    wanted: dict[str, Any]
    """The job as it was asked for: predicate, expressions."""
    frozen: dict[str, Any]
    """What was decided at its start and holds for all of it: the predicate with its moment, the key."""
    by: dict[str, Any]
    format: int
    started_at: float
    ended_at: float | None
    error: str | None
    evidence: TableIdentity
    """What the server remembered the table by."""
    lanes: tuple[Lane, ...] = ()

    @property
    def rows(self) -> int:
        return sum(lane.rows for lane in self.lanes) + int(self.frozen.get("dropped_rows", 0))

    @property
    def rejected(self) -> int:
        return sum(lane.rejected for lane in self.lanes)

    @property
    def locked(self) -> int:
        return sum(lane.locked for lane in self.lanes)

    @property
    def read(self) -> int:
        return sum(lane.read for lane in self.lanes)

    @property
    def batches(self) -> int:
        return sum(lane.batches for lane in self.lanes)


def new_token() -> str:
    """What the next holder of a lane proves itself with."""
    return secrets.token_hex(8)


def lane_of(row: Any) -> Lane:
    """The lane that a row holds."""
    return Lane(
        row["run"], row["lane"], row["token"], row["cursor"],
        row["batches"], row["rows_changed"], row["rows_read"], row["rows_locked"], row["rows_rejected"],
    )  # fmt: skip


def run_of(row: Any, lanes: tuple[Lane, ...]) -> Run:
    """The run that a row holds, with its lanes."""
    return Run(
        run=row["run"], job=row["job"], verb=row["verb"], table=row["table_name"], walk=row["walk"],
        state=row["state"], wanted=json.loads(row["wanted"]), frozen=json.loads(row["frozen"]),
        by=json.loads(row["started_by"]), format=row["format"], started_at=row["started_at"],
        ended_at=row["ended_at"], error=row["error"],
        evidence=TableIdentity(row["table_identity"], row["storage_identity"]), lanes=lanes,
    )  # fmt: skip
