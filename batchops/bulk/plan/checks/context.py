"""What a check is, and what it can see."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.bulk.plan.analysis import QUICK, RunStrategy
from batchops.bulk.plan.inspection import Inspection
from batchops.bulk.plan.probes import Probe
from batchops.bulk.spec import BulkSpec
from batchops.bulk.verb import BulkVerb
from batchops.db.database import Database
from batchops.db.facts import TableFacts, TableName
from batchops.db.table import Table
from batchops.sql.expression import is_default
from batchops.sql.selection import Selection, user_sql
from batchops.sql.subselects import called_functions
from batchops.sql.tokens import SqlTokens, tokenize


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
    """Rows that match, as far as known."""

    @property
    def event(self) -> str:
        """What the database will call it."""
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
    def read_besides(self) -> frozenset[TableName]:
        """The tables that the condition and the values read in sub-selects, views and functions."""
        tokens = self.tokens
        functions: frozenset[str] = frozenset().union(*(called_functions(one) for one in tokens))
        if not functions and not any(one.inner for one in tokens):
            return frozenset()
        values = [user_sql(f"({value})") for _, value in self.route.pinned.assignments if not is_default(value)]
        return self.database.backend.facts.tables_read(
            self.connection, self.table, self.selection.clause, values, functions
        )

    def read_by(self, condition: str, functions: frozenset[str]) -> frozenset[TableName]:
        """The tables that another condition reads in sub-selects, or these functions; none where it cannot be asked."""
        self.connection.exec_driver_sql("SAVEPOINT asking")
        try:
            return self.database.backend.facts.tables_read(
                self.connection, self.table, user_sql(condition), (), functions
            )
        except DBAPIError:  # FROM what the condition itself calls so, in a WITH for one
            return frozenset()
        finally:
            self.connection.exec_driver_sql("ROLLBACK TO SAVEPOINT asking")

    @property
    def tokens(self) -> list[SqlTokens]:
        """The condition and the values in tokens."""
        pinned = self.route.pinned
        texts = [text for text in (pinned.condition, *(value for _, value in pinned.assignments)) if text]
        return [tokenize(text, self.database.backend.sql_functions.dialect) for text in texts]

    @property
    def selection(self) -> Selection:
        return Selection(self.table, self.route.pinned.condition)

    def count(self, rows: sa.Select[object]) -> int | None:
        """How many rows that is, within the time there is; None for too many, or no right to read them."""
        seconds = self.spec.statement_timeout.total_seconds() if self.spec.count else QUICK
        return self.database.backend.facts.count_within(self.connection, rows, seconds)


@dataclass(frozen=True)
class Objection:
    """What is wrong, and how to solve it."""

    message: str
    hint: str


@dataclass(frozen=True)
class Check:
    """One safety check, by the name that --allow takes."""

    name: str
    what: str
    """What it protects from, in a line."""
    look: Callable[[CheckContext], Iterator[Objection]]
