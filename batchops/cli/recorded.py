"""Runs as the ledger has them, for people and programs."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from batchops.lease import Beat, beats_of
from batchops.ledger import Ledger, Run
from batchops.reporters.figures import count, visible


@dataclass(frozen=True)
class Recorded:
    """A run and, while it is at work, its beat."""

    run: Run
    beat: Beat | None

    @property
    def state(self) -> str:
        """As in the ledger, but "crashed" for a run that says it is running and gives no sign of life."""
        if self.run.state == "running" and (self.beat is None or not self.beat.alive):
            return "crashed"
        return self.run.state


def load_runs(ledger: Ledger, *, table: str | None = None, number: int | None = None, limit: int = 1) -> list[Recorded]:
    """The runs, newest first; none where there is no ledger yet."""
    with ledger.database.reading() as connection:
        if not ledger.exists(connection):
            return []
        where: list[sa.ColumnElement[bool]] = [sa.true()]
        if table is not None:
            where.append(ledger.runs.c.table_name == table)
        if number is not None:
            where.append(ledger.runs.c.run == number)
        runs = ledger.select_runs(connection, sa.and_(*where), limit=limit)
        beats = beats_of(connection, ledger)
    return [Recorded(run, beats.get(run.run)) for run in runs]


def run_document(recorded: Recorded) -> dict[str, Any]:
    """A run's fields; only ever added to."""
    run, beat = recorded.run, recorded.beat
    return {
        "run": run.run,
        "verb": run.verb,
        "table": run.table,
        "state": recorded.state,
        "walk": run.walk,
        "rows": run.rows,
        "read": run.read,
        "batches": run.batches,
        "locked": sum(lane.locked for lane in run.lanes),
        "started": moment(run.started_at),
        "ended": moment(run.ended_at),
        "where": run.frozen["predicate"],
        "set": [f"{column} = {value}" for column, value in run.frozen["assignments"]],
        "cutoff": run.frozen["cutoff"],
        "by": run.by,
        "owner": beat.owner.as_dict() if beat else None,
        "error": run.error,
    }


def run_row(recorded: Recorded) -> tuple[str, ...]:
    """A line of the list."""
    run = recorded.run
    started = datetime.fromtimestamp(run.started_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return (
        str(run.run), run.verb, visible(run.table), recorded.state, count(run.rows), count(run.batches),
        started, visible(run.frozen["predicate"] or "every row"),
    )  # fmt: skip


def moment(at: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601 in UTC."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
