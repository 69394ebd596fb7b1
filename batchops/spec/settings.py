"""Makes the database connection, limits, pacing and loop settings from a spec, for every verb."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from batchops.db.database import Database, connect
from batchops.db.sessions import Timeouts
from batchops.db.table import Table
from batchops.db.urls import DatabaseAddress, address
from batchops.errors import UsageError
from batchops.ledger.ledger import Ledger
from batchops.ledger.location import NONE, open_ledger
from batchops.runtime.budget import Budget
from batchops.runtime.limits import Limits
from batchops.runtime.live_settings import LiveSettings, Sleep, WorkerCount
from batchops.runtime.loop import LoopSettings, Step
from batchops.runtime.pacing import Pacing
from batchops.runtime.rate import Rate, RateLimit
from batchops.runtime.stop import Grace, grace_period
from batchops.spec.models import VerbSpec

MOST_WORKERS = 64
"""The most workers that a run may have, also later while it works; connections open only when needed."""


def address_of(spec: VerbSpec, environ: Mapping[str, str]) -> DatabaseAddress:
    """Return the address of the database that the spec names by URL or engine, or else that of the environment."""
    if spec.engine is None:
        return address(spec.url, environ)
    try:
        found = address(spec.engine.url.render_as_string(hide_password=False), environ)
    except UsageError as error:
        raise UsageError(error.message.replace("--url", "engine"), error.hint) from None
    return replace(found, warnings=())


@contextmanager
def reached(spec: VerbSpec, environ: Mapping[str, str]) -> Iterator[Database]:
    """Connect to the spec's database with the spec's timeouts, and close it at the end."""
    timeouts = Timeouts(spec.lock_timeout.total_seconds(), spec.statement_timeout.total_seconds())
    with closing(connect(address_of(spec, environ), timeouts, MOST_WORKERS)) as database:
        yield database


@contextmanager
def record_ledger(spec: VerbSpec, database: Database, environ: Mapping[str, str]) -> Iterator[Ledger | None]:
    """Yield the ledger for the row of a run that keeps no progress there; None with `--ledger none`."""
    if spec.ledger == NONE:
        yield None
        return
    with open_ledger(spec.ledger, spec.ledger_schema, database, environ) as ledger:
        yield ledger


def grace_of(spec: VerbSpec, database: Database, margin: float = 0.0) -> Grace:
    """Return the spec's grace period; see `grace_period` for `margin`."""
    return lambda stop: grace_period(stop, spec.grace.total_seconds(), database.cancel, margin)


def limits_of(spec: VerbSpec) -> Limits:
    """Return the spec's limits, for all workers together; they count what this process does."""
    return Limits(
        rows=Budget(spec.max_rows),
        seconds=None if spec.max_time is None else spec.max_time.total_seconds(),
        batches=None if spec.max_batches is None else Budget(spec.max_batches),
        window=spec.window,
        wait=spec.wait,
        rejected=spec.most_rejected,
        wall=lambda: datetime.now(spec.time_zone),
    )


def live_of(spec: VerbSpec, pacing: Pacing, workers: int = 1, *, several: bool = True) -> LiveSettings:
    """Return the settings that may change while the run works; `several`: whether it may have several workers."""
    sleep = Sleep(spec.sleep.total_seconds())
    return LiveSettings(pacing, limits_of(spec), sleep, WorkerCount(workers), several)


def loop_of(spec: VerbSpec, step: Step, live: LiveSettings) -> LoopSettings:
    """Return the loop settings that every spec has; a verb adds its own. The workers share the live settings."""
    return LoopSettings(
        step=step,
        pacing=live.pacing,
        limits=live.limits,
        sleep=live.sleep,
        nice=spec.nice,
        rate=rate_limit(spec.max_rate),
        retry_timeout=spec.retry_timeout.total_seconds(),
    )


def rate_limit(rate: Rate | None) -> RateLimit | None:
    """Return the rate limit that the workers of a process share; None without a rate."""
    return None if rate is None else RateLimit(rate.rows, rate.flag, rate.text)


def bounds_of(spec: VerbSpec) -> dict[str, Any]:
    """Return the limits as fields of Started."""
    seconds = None if spec.max_time is None else spec.max_time.total_seconds()
    return {"max_rows": spec.max_rows, "max_batches": spec.max_batches, "max_seconds": seconds}


def pacing_of(spec: VerbSpec, table: Table) -> Pacing:
    """Return the spec's pacing, bounded by the average bytes of the table's rows where they are known."""
    return Pacing(
        target=spec.target_time.total_seconds(),
        fixed=spec.batch_size,
        most_rows=spec.max_rate.a_batch if spec.max_rate else None,
        row_bytes=table.bytes / table.rows if table.bytes and table.rows else None,
    )
