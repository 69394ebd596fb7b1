"""What a check is, and what it gets to see."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.facts import TableFacts
from batchops.db.table import Table
from batchops.plan.make import QUICK, Route
from batchops.plan.probes import Probe
from batchops.plan.sketch import Sketch
from batchops.selection import Selection
from batchops.specs import JobSpec

EVENTS = {"purge": "DELETE", "backfill": "UPDATE"}


@dataclass(frozen=True)
class Case:
    """The job as it is planned, before it may write."""

    connection: sa.Connection
    database: Database
    verb: str
    spec: JobSpec
    found: Sketch
    route: Route
    probes: tuple[Probe, ...]

    @property
    def event(self) -> str:
        """What the database will call it."""
        return EVENTS[self.verb]

    @property
    def table(self) -> Table:
        return self.found.table

    @property
    def facts(self) -> TableFacts:
        return self.found.facts

    @property
    def sets(self) -> frozenset[str]:
        """The columns that a backfill sets."""
        return frozenset(column for column, _ in self.route.frozen.assignments)

    @property
    def selection(self) -> Selection:
        return Selection(self.table, self.route.frozen.predicate)

    def count(self, rows: sa.Select[object]) -> int | None:
        """How many rows that is, within the time there is; None for too many, or no right to read them."""
        seconds = self.spec.statement_timeout.total_seconds() if self.spec.count else QUICK
        return self.database.family.facts.count_within(self.connection, rows, seconds)


@dataclass(frozen=True)
class Finding:
    """What is wrong, and the way out of it."""

    message: str
    hint: str


@dataclass(frozen=True)
class Check:
    """One safety check, by the name that --allow takes."""

    name: str
    what: str
    """What it protects from, in a line."""
    verbs: tuple[str, ...]
    look: Callable[[Case], Iterator[Finding]]
