"""The preview of `batchops schedule --preview`: when each job will fire, without a database."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from batchops import durations
from batchops.reporters.figures import visible
from batchops.scheduler.prepare import Scheduled
from batchops.spec.times import Cron
from batchops.version import __version__

FIRES = 10


def preview_lines(jobs: Sequence[Scheduled]) -> Iterator[str]:
    """Yield lines with the next fires of each job; a fire that a change of the clock affects is marked."""
    for each in jobs:
        jitter = each.schedule.policy.jitter
        late = f", up to {durations.show(jitter)} later by jitter" if jitter else ""
        yield f"{visible(each.job.name)}: {each.schedule.times}{late}"
        for at, mark in _coming(each):
            local = datetime.fromtimestamp(at, _zone(each))
            yield f"  {local:%a %Y-%m-%d %H:%M:%S %Z}{f'  ({mark})' if mark else ''}"


def preview_document(jobs: Sequence[Scheduled]) -> dict[str, Any]:
    """Return the next fires of each job as a document for programs."""
    return {
        "version": __version__,
        "jobs": [
            {
                "job": each.job.name,
                "recipe": str(each.path),
                "times": str(each.schedule.times),
                "overlap": each.schedule.policy.overlap,
                "missed": each.schedule.policy.missed,
                "jitter": each.schedule.policy.jitter,
                "fires": [
                    {"at": datetime.fromtimestamp(at, _zone(each)).isoformat(), "mark": mark or None}
                    for at, mark in _coming(each)
                ],
            }
            for each in jobs
        ],
    }


def _coming(each: Scheduled) -> Iterator[tuple[int, str]]:
    times, at = each.schedule.times, int(time.time())
    for _ in range(FIRES):
        at = times.after(at)
        yield at, times.mark(at)


def _zone(each: Scheduled) -> tzinfo:
    times = each.schedule.times
    return times.zone if isinstance(times, Cron) else UTC
