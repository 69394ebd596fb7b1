"""What the health endpoint of a scheduler answers."""

import time
from typing import Any

from batchops.reporters.document import as_json
from batchops.reporters.http_server import Answer
from batchops.reporters.schedule_status import Standing
from batchops.scheduler.scheduler import Scheduler

STUCK = 120.0
"""Seconds without a round after which a keeper counts as stuck: more than any statement of its may take."""


def live(scheduler: Scheduler) -> Answer:
    """200 while it keeps the time, whatever becomes of the jobs: for whoever would restart it."""
    stuck = [keeper.place.shown for keeper in scheduler.keepers if _stuck(keeper.seen) or not keeper.alive]
    return _answer(not stuck, {"stuck": stuck})


def health(scheduler: Scheduler, standing: Standing) -> Answer:
    """200 while every ledger is reached and no job's last fire failed: for whoever would call a person."""
    trouble = [
        {"ledger": keeper.place.shown, "error": keeper.trouble.message}
        for keeper in scheduler.keepers
        if keeper.trouble
    ]
    stuck = any(_stuck(keeper.seen) for keeper in scheduler.keepers)
    failing = standing.failing
    at_work = sorted({work.task.job for keeper in scheduler.keepers for work in keeper.running()})
    well = not trouble and not failing and not stuck
    return _answer(well, {"failing": failing, "ledgers": trouble, "running": at_work, "jobs": standing.documents()})


def _stuck(seen: float) -> bool:
    return time.monotonic() - seen > STUCK


def _answer(well: bool, fields: dict[str, Any]) -> Answer:
    body = as_json({"status": "ok" if well else "failing"} | fields) + "\n"
    return Answer(200 if well else 503, "application/json", body.encode())
