"""The answers of a scheduler's endpoints /health and /live."""

import time
from typing import Any

from batchops.reporters.document import as_json
from batchops.reporters.http_server import HttpResponse
from batchops.reporters.schedule_status import ScheduleStatus
from batchops.scheduler.scheduler import Scheduler

STUCK = 120.0
"""Seconds without a round after which a dispatcher counts as stuck: more than any of its statements may take."""


def live(scheduler: Scheduler) -> HttpResponse:
    """Return 200 while the dispatchers work, even if jobs fail: for a service manager, which would restart it."""
    stuck = [
        dispatcher.place.shown
        for dispatcher in scheduler.dispatchers
        if _stuck(dispatcher.seen) or not dispatcher.alive
    ]
    return _answer(not stuck, {"stuck": stuck})


def health(scheduler: Scheduler, status: ScheduleStatus) -> HttpResponse:
    """Return 200 while all ledgers can be reached and no job's last fire failed: for an alert to a person."""
    trouble = [
        {"ledger": dispatcher.place.shown, "error": dispatcher.trouble.message}
        for dispatcher in scheduler.dispatchers
        if dispatcher.trouble
    ]
    stuck = any(_stuck(dispatcher.seen) for dispatcher in scheduler.dispatchers)
    failing = status.failing
    at_work = sorted({work.task.job for dispatcher in scheduler.dispatchers for work in dispatcher.running()})
    well = not trouble and not failing and not stuck
    return _answer(well, {"failing": failing, "ledgers": trouble, "running": at_work, "jobs": status.documents()})


def _stuck(seen: float) -> bool:
    return time.monotonic() - seen > STUCK


def _answer(well: bool, fields: dict[str, Any]) -> HttpResponse:
    body = as_json({"status": "ok" if well else "failing"} | fields) + "\n"
    return HttpResponse(200 if well else 503, "application/json", body.encode())
