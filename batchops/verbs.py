"""The verbs that a recipe may name: how each is asked for, planned and run."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from batchops.bulk.job import run_bulk
from batchops.bulk.plan.plan import Plan
from batchops.bulk.prepare import prepare_bulk
from batchops.db.database import Database
from batchops.db.recorded_statements import Rehearsed
from batchops.events import Emit, Finished
from batchops.outbox.job import run_relay
from batchops.outbox.prepare import prepare_relay
from batchops.outbox.spec import RelaySpec
from batchops.queue.job import run_drain
from batchops.queue.prepare import prepare_drain
from batchops.queue.spec import DrainSpec
from batchops.runtime.stop import Stop
from batchops.spec.models import BackfillSpec, PurgeSpec, VerbSpec


class Job(Protocol):
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
    """One verb; what `prepare` gives is for `run` alone."""

    spec: type[VerbSpec]
    prepare: Callable[..., AbstractContextManager[Any]]
    """(spec, environ, again=command that goes on) → Ready; nothing is written; BatchopsError where it cannot be."""
    run: Callable[[Any, Emit, Stop], Finished]
    asks: bool = False
    """Whether a person is asked before it runs."""


VERBS: Mapping[str, Verb] = {
    "purge": Verb(PurgeSpec, partial(prepare_bulk, "purge"), run_bulk, asks=True),
    "backfill": Verb(BackfillSpec, partial(prepare_bulk, "backfill"), run_bulk, asks=True),
    "drain": Verb(DrainSpec, prepare_drain, run_drain),
    "relay": Verb(RelaySpec, prepare_relay, run_relay),
}
