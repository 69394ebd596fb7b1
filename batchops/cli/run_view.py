"""Runs as the ledger has them, for people and programs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from batchops.events import Cause
from batchops.ledger.history import Recorded
from batchops.reporters.figures import count, visible


def run_document(recorded: Recorded) -> dict[str, Any]:
    """A run's fields; only ever added to."""
    run, holder = recorded.run, recorded.holder
    return {
        "run": run.run,
        "verb": run.verb,
        "table": run.table,
        "state": recorded.state,
        "strategy": run.strategy,
        "rows": run.rows,
        "read": run.read,
        "batches": run.batches,
        "rejected": run.rejected,
        "locked": run.locked,
        "started": moment(run.started_at),
        "ended": moment(run.ended_at),
        "where": run.pinned["condition"],
        "set": [f"{column} = {value}" for column, value in run.pinned["assignments"]],
        "cutoff": run.pinned["cutoff"],
        "by": run.by,
        "owner": holder.owner.as_dict() if holder else None,
        "error": run.error,
    }


def rejections_document(rejections: Sequence[Cause]) -> list[dict[str, Any]]:
    """What a run could not change, by reason."""
    return [{"reason": one.reason, "rows": one.attempts, "keys": list(one.names)} for one in rejections]


def run_row(recorded: Recorded) -> tuple[str, ...]:
    """A line of the list."""
    run = recorded.run
    started = datetime.fromtimestamp(run.started_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return (
        str(run.run), run.verb, visible(run.table), recorded.state, count(run.rows), count(run.batches),
        started, visible(run.pinned["condition"] or "every row"),
    )  # fmt: skip


def moment(at: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601 in UTC."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
