"""What a check is, and what it gets to see."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.bulk.plan.analysis import QUICK, Route
from batchops.bulk.plan.inspection import Sketch
from batchops.bulk.plan.probes import Probe
from batchops.db.database import Database
from batchops.db.facts import TableFacts, TableName
from batchops.db.table import Table
from batchops.spec.models import JobSpec
from batchops.sql.expression import is_default
from batchops.sql.selection import Selection, user_sql
from batchops.sql.subselects import called_functions
from batchops.sql.tokens import Pieces, cut

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
    estimate: int | None
    """Rows that match, so far as known."""

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

    @cached_property
    def read_besides(self) -> frozenset[TableName]:
        """The tables that the condition and the values read in sub-selects, views and functions."""
        pieces = self.pieces
        functions: frozenset[str] = frozenset().union(*(called_functions(one) for one in pieces))
        if not functions and not any(one.inner for one in pieces):
            return frozenset()
        values = [user_sql(f"({value})") for _, value in self.route.frozen.assignments if not is_default(value)]
        return self.database.family.facts.tables_read(
            self.connection, self.table, self.selection.clause, values, functions
        )

    def read_by(self, condition: str, functions: frozenset[str]) -> frozenset[TableName]:
        """The tables that another condition reads in sub-selects, or these functions; none where it cannot be asked."""
        self.connection.exec_driver_sql("SAVEPOINT asking")
        try:
            return self.database.family.facts.tables_read(
                self.connection, self.table, user_sql(condition), (), functions
            )
        except DBAPIError:  # FROM what the condition itself calls so, in a WITH for one
            return frozenset()
        finally:
            self.connection.exec_driver_sql("ROLLBACK TO SAVEPOINT asking")

    @property
    def pieces(self) -> list[Pieces]:
        """The condition and the values in tokens."""
        frozen = self.route.frozen
        texts = [text for text in (frozen.predicate, *(value for _, value in frozen.assignments)) if text]
        return [cut(text, self.database.family.words.dialect) for text in texts]

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
