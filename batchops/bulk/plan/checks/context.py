"""What a check is, and what it can see."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import sqlalchemy as sa

from batchops.bulk.plan.analysis import QUICK, RunStrategy
from batchops.bulk.plan.inspection import Inspection
from batchops.bulk.plan.own_reads import JobReads
from batchops.bulk.plan.probes import Probe
from batchops.bulk.spec import BulkSpec
from batchops.bulk.verb import BulkVerb
from batchops.db.database import Database
from batchops.db.facts import TableFacts
from batchops.db.table import Table
from batchops.sql.selection import Selection


@dataclass(frozen=True)
class CheckContext:
    """The job as it is planned, before it may write."""

    connection: sa.Connection
    database: Database
    verb: BulkVerb
    spec: BulkSpec
    found: Inspection
    route: RunStrategy
    probes: tuple[Probe, ...]
    estimate: int | None
    """How many rows match; None if unknown."""

    @property
    def event(self) -> str:
        """What the database calls the change: DELETE, UPDATE or SELECT."""
        return self.verb.right

    @property
    def table(self) -> Table:
        return self.found.table

    @property
    def facts(self) -> TableFacts:
        return self.found.facts

    @property
    def sets(self) -> frozenset[str]:
        """The columns that a backfill sets."""
        return frozenset(column for column, _ in self.route.pinned.assignments)

    @cached_property
    def reads(self) -> JobReads:
        """Which tables the condition and the values read."""
        return JobReads(
            self.connection, self.database, self.event, self.table, self.facts, self.route.pinned, self.found.graph
        )  # fmt: skip

    @property
    def selection(self) -> Selection:
        return Selection(self.table, self.route.pinned.condition)

    def count(self, rows: sa.Select[object]) -> int | None:
        """Return how many rows there are; None if counting takes too long, or the role may not read them."""
        seconds = self.spec.statement_timeout.total_seconds() if self.spec.count else QUICK
        return self.database.backend.facts.count_within(self.connection, rows, seconds)


@dataclass(frozen=True)
class CheckRefusal:
    """Why a check refuses the job, and what to do."""

    message: str
    hint: str


@dataclass(frozen=True)
class Check:
    """One safety check, by the name that --allow takes."""

    name: str
    what: str
    """What it protects from, in one line."""
    look: Callable[[CheckContext], Iterator[CheckRefusal]]
