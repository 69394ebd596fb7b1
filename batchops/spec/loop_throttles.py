"""loop_throttles(): the throttles of a verb's loop: those of its spec, and its share of a budget."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from batchops.budget.sharing import sharing, shown_budget
from batchops.db.database import Database
from batchops.db.signals import run_scope
from batchops.db.table import Table
from batchops.runtime.lifecycle import EventEmitter
from batchops.runtime.live_settings import LiveSettings
from batchops.runtime.loop import RunStats, Throttle
from batchops.spec.throttle_settings import live_setting
from batchops.spec.throttled import ThrottledSpec
from batchops.spec.verb import Plan
from batchops.throttles.chosen import ChosenThrottle
from batchops.throttles.watching import Watched, watching


@contextmanager
def loop_throttles(
    spec: ThrottledSpec, plan: Plan, chosen: Sequence[ChosenThrottle], database: Database, table: Table,
    live: LiveSettings, emitter: EventEmitter, stats: RunStats,
) -> Iterator[tuple[Throttle, ...]]:  # fmt: skip
    """Yield the chosen throttles, those that are set while the run works, and the share of the budget."""
    threads, name = emitter.threads, f"{plan.verb.name} {plan.label}"
    scope = run_scope("", table, spec.replicas, database)
    timeout = spec.throttle_timeout.total_seconds()
    watched = Watched(chosen, database, scope, live.throttles, live_setting, timeout, emitter.warn)
    with watching(watched, threads, stats) as throttles, sharing(spec.budget, name, live, threads, stats) as shared:
        yield *throttles, *shared


def throttle_facts(spec: ThrottledSpec, chosen: Sequence[ChosenThrottle]) -> tuple[tuple[str, str], ...]:
    """Return the throttles and the budget for a plan, as names and texts; raise UsageError if the budget is missing."""
    throttles = (("throttles", "; ".join(one.text for one in chosen)),) if chosen else ()
    return (*throttles, ("budget", shown_budget(spec.budget))) if spec.budget else throttles
