"""The verbs that a recipe may name: how each is asked for, planned and run."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from batchops.db.database import Database
from batchops.db.rehearsal import Rehearsed
from batchops.events import Emit, Finished
from batchops.jobs.drain import drain_prepared, prepared_drain
from batchops.jobs.plan_relay import prepared_relay
from batchops.jobs.plan_walk import prepared
from batchops.jobs.run_relay import relay_prepared
from batchops.jobs.run_walk import perform
from batchops.outboxes.spec import RelaySpec
from batchops.plan.plan import Plan
from batchops.queues.spec import DrainSpec
from batchops.specs import BackfillSpec, PacedSpec, PurgeSpec
from batchops.stop import Stop


class Ready(Protocol):
    """A job that is planned and may be run."""

    @property
    def database(self) -> Database: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def plan(self) -> Plan | tuple[tuple[str, str], ...]: ...

    def rehearse(self) -> Sequence[Rehearsed]:
        """Its first statements, not run, where its plan does not have them."""

    def ended(self, reason: str) -> Finished:
        """Its end, where it is not run."""


@dataclass(frozen=True)
class Verb:
    """One verb; what `prepared` gives is for `perform` alone."""

    spec: type[PacedSpec]
    prepared: Callable[..., AbstractContextManager[Any]]
    """(spec, environ, again=command that goes on) → Ready; nothing is written; BatchopsError where it cannot be."""
    perform: Callable[[Any, Emit, Stop], Finished]
    asks: bool = False
    """Whether a person is asked before it runs."""


VERBS: Mapping[str, Verb] = {
    "purge": Verb(PurgeSpec, partial(prepared, "purge"), perform, asks=True),
    "backfill": Verb(BackfillSpec, partial(prepared, "backfill"), perform, asks=True),
    "drain": Verb(DrainSpec, prepared_drain, drain_prepared),
    "relay": Verb(RelaySpec, prepared_relay, relay_prepared),
}
