"""Formats runs from the ledger, for people and programs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from batchops import durations
from batchops.bulk.strategies.cursor import Cursor
from batchops.db.value_formats import as_text
from batchops.finished_details import Cause
from batchops.ledger.history import Recorded
from batchops.ledger.requests import Request
from batchops.ledger.run import Run
from batchops.ledger.run_events import RunEvent
from batchops.ledger.samples import Sample
from batchops.reporters.figures import count, percent, rate, visible

NAME = "RUN|TABLE|JOB"
"""The metavar of commands that show runs."""
_BEHIND_RUN = ("command", "job", "expected")
"""The keys of `by` that do not describe the person or process that started a run."""


def run_document(recorded: Recorded) -> dict[str, Any]:
    """Return a run as a document; fields are added to it, but never changed or removed."""
    run, holder = recorded.run, recorded.holder
    return {
        "run": run.run,
        "verb": run.verb,
        "table": run.table,
        "state": recorded.state,
        "strategy": run.strategy,
        "job": run.by.get("job") or None,
        "share": recorded.share,
        "position": position(run) or None,
        "rows": run.rows,
        "tables": dict(sorted(run.tables.items())) or None,
        "read": run.read,
        "batches": run.batches,
        "rejected": run.rejected,
        "locked": run.locked,
        "started": moment(run.started_at),
        "ended": moment(run.ended_at),
        "where": run.pinned["condition"],
        "set": [f"{column} = {value}" for column, value in run.pinned["assignments"]],
        "cutoff": run.pinned["cutoff"],
        "by": {name: value for name, value in run.by.items() if name not in _BEHIND_RUN},
        "owner": holder.owner.as_dict() if holder else None,
        "heartbeat": moment(holder.heartbeat) if holder else None,
        "rate": None if recorded.rate is None else round(recorded.rate, 1),
        "waiting": recorded.waiting or None,
        "paused": [request_document(pause) for pause in recorded.pauses],
        "detached": run.detached or None,
        "error": run.error,
        "next": recorded.next,
    }


def progress(recorded: Recorded) -> str:
    """Return the progress of the run, for people: 62 % · behind id 12,408."""
    share = "" if recorded.share is None else percent(recorded.share)
    return " · ".join(part for part in (share, position(recorded.run)) if part)


def position(run: Run) -> str:
    """Return the key after which the run continues; with several workers, that of the first one with rows left."""
    cursors = [cursor for worker in run.workers if not (cursor := Cursor.loaded(worker.cursor)).over]
    if run.state == "done" or not cursors:
        return ""
    several = f"{len(cursors)} workers, the first one " if len(cursors) > 1 else ""
    key = cursors[0].position
    if key is None:
        return f"{several}at the start" if several else ""
    names, values = run.pinned["key"] or ["row"], [_shown(value) for value in key]
    if len(values) == 1:
        return f"{several}behind {names[0]} {values[0]}"
    return f"{several}behind ({', '.join(names)}) = ({', '.join(values)})"


def _shown(value: object) -> str:
    text = as_text(value)
    return count(int(text)) if text.removeprefix("-").isdecimal() and len(text) < 20 else text


def request_document(request: Request) -> dict[str, Any]:
    """Return a request to a run, to its job or to every run as a document."""
    return {
        "action": request.action,
        "scope": request.scope.partition(" ")[0],
        "by": request.by,
        "at": request.time,
        "reason": request.reason or None,
        "settings": dict(request.settings),
    }


def sample_document(sample: Sample) -> dict[str, Any]:
    """Return a sample of a run as a document."""
    return {
        "at": datetime.fromtimestamp(sample.at, UTC).isoformat(timespec="milliseconds"),
        "rows": sample.rows,
        "read": sample.read,
        "batches": sample.batches,
        "batch_rows": sample.batch_rows,
        "batch_seconds": round(sample.batch_seconds, 3),
        "throttled_seconds": round(sample.throttled_seconds, 3),
        "waiting": sample.waiting or None,
    }


def sample_line(sample: Sample) -> str:
    """Return a sample of a run as a line for people."""
    batch = f"batch {count(sample.batch_rows)} in {durations.show(sample.batch_seconds)}" if sample.batches else ""
    parts = (moment(sample.at) or "", f"{count(sample.rows)} rows", f"{count(sample.read)} read", batch, sample.waiting)
    return ", ".join(part for part in parts if part)


def event_document(event: RunEvent) -> dict[str, Any]:
    """Return an event of a run, or several similar ones, as a document."""
    return {
        "event": event.event,
        "text": event.text,
        "at": moment(event.at),
        "last_at": moment(event.last_at),
        "times": event.times,
    }


def event_line(event: RunEvent) -> str:
    """Return an event of a run as a line for people."""
    often = f" ({count(event.times)} times until {moment(event.last_at)})" if event.times > 1 else ""
    return f"{moment(event.at)} {event.event}: {event.text}{often}"


def rejections_document(rejections: Sequence[Cause]) -> list[dict[str, Any]]:
    """Return the rows that a run could not change as a document, by reason."""
    return [{"reason": one.reason, "rows": one.attempts, "keys": list(one.names)} for one in rejections]


def run_row(recorded: Recorded) -> tuple[str, ...]:
    """Return the cells of a run's line in the list."""
    run = recorded.run
    job = f" ({run.by['job']})" if run.by.get("job") else ""
    started = datetime.fromtimestamp(run.started_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    speed = "" if recorded.rate is None else rate(recorded.rate)
    now = " · ".join(part for part in (progress(recorded), speed, recorded.waiting) if part)
    return (
        str(run.run), run.verb, visible(run.table + job), recorded.state, visible(now),
        count(run.rows) + all_tables(run), count(run.batches), started, visible(run.pinned["condition"] or "every row"),
    )  # fmt: skip


def all_tables(run: Run) -> str:
    """Return the text to add to the rows of a run's own table: those of all tables, if there are others."""
    total = run.tables.total()
    return f" ({count(total)} in all)" if total > run.rows else ""


def moment(at: float | None) -> str | None:
    """Return seconds since 1970 as ISO 8601 in UTC; None for None."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
