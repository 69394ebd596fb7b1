"""The lease columns of a table: their names, and checks of columns that the table already has."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import sqlalchemy as sa

from batchops.db.backend import Backend
from batchops.db.claims import ClaimQueries
from batchops.db.table import Column, Table
from batchops.errors import RefusedError

KINDS = {"lease": "text", "lease_until": "number", "attempts": "count", "next_at": "number", "failure": "text"}
"""The kind of type for each purpose of a lease column. Times are seconds since 1970 by the database's clock."""
BEFORE_CLAIM = "before_claim"
"""A further column, for the values that --claimed has overwritten in a leased row."""
WIDTHS = {"lease": 40, "failure": 400, BEFORE_CLAIM: 1_000}
"""The fewest characters that a text column must be able to hold."""
VALUES = {"lease": "x" * 40, "lease_until": "1800000000.5", "next_at": "1800000000.5", "failure": "ValueError: no",
          BEFORE_CLAIM: '{"status":"new"}'}  # fmt: skip
"""Examples of what batchops writes to the columns, to find out whether a check constraint refuses them."""
WANTED = {
    "text": "a text of {} characters or more", "long text": "a text of {} characters or more",
    "number": "seconds as a double", "count": "an integer",
}  # fmt: skip
HIDDEN = ("lease", "lease_until", "next_at", "failure", BEFORE_CLAIM)
"""The lease columns that handlers do not get."""


@dataclass(frozen=True)
class LeaseColumns:
    """The names of the lease columns in one table."""

    prefix: str = ""
    claimed: bool = False
    """Whether there is a column for what --claimed overwrites."""

    @property
    def kinds(self) -> dict[str, str]:
        """Return the kind of type for each purpose."""
        return KINDS | {BEFORE_CLAIM: "long text"} if self.claimed else KINDS

    def name(self, purpose: str) -> str:
        """Return the name of the column for a purpose."""
        return self.prefix + purpose

    @property
    def names(self) -> tuple[str, ...]:
        """Return all names, in the order in which the columns are made."""
        return tuple(map(self.name, self.kinds))

    def missing(self, table: Table) -> list[str]:
        """Return the purposes that the table has no column for."""
        return [purpose for purpose in self.kinds if self.name(purpose) not in table.column_names]

    def check(self, claims: ClaimQueries, table: Table) -> None:
        """Raise RefusedError if a column with such a name cannot be used for leases."""
        for column, purpose in self._there(table):
            if (why := self._unfit(claims, column, purpose)) is not None:
                raise self.refusal(table, column, why)

    def try_values(self, connection: sa.Connection, backend: Backend, table: Table, attempts: int) -> None:
        """Raise RefusedError if a column's type or a check constraint refuses what batchops writes to it."""
        for column, purpose in self._there(table):
            if purpose == "attempts" and (most := backend.claims.most(column)) < attempts:
                raise self.refusal(table, column, f"{column.type} counts to {most}, and --max-attempts is {attempts}")
            value = VALUES.get(purpose, str(attempts))
            if (refusal := backend.contents.refusal(connection, table, column, value)) is not None:
                raise self.refusal(table, column, f"{refusal}, as in {value}")

    def other_case(self, backend: Backend, table: Table) -> None:
        """Raise RefusedError if a column's name differs from a lease column's by case alone: batchops ignores case."""
        wanted = {self.name(purpose).lower(): self.name(purpose) for purpose in self.missing(table)}
        for column in table.columns:
            if (name := wanted.get(column.name.lower())) is not None and not backend.sql_functions.folds:
                raise self.refusal(table, column, f"its name differs from {name} by its case alone")

    def fit(self, claims: ClaimQueries, table: Table) -> bool:
        """Whether every column with such a name can be used for leases."""
        return not any(self._unfit(claims, column, purpose) for column, purpose in self._there(table))

    def as_there(self, claims: ClaimQueries, table: Table) -> "LeaseColumns":
        """Return these columns, with the one for what --claimed overwrites if the table has a suitable one."""
        every = replace(self, claimed=True)
        fits = self.name(BEFORE_CLAIM) in table.column_names and every.fit(claims, table)
        return every if fits else self

    def refusal(self, table: Table, column: Column, why: str) -> RefusedError:
        """Return the error for a column that cannot be used, with the ways out."""
        return RefusedError(
            f'Table "{table.label}" has a column {column.name} of its own: {why}.',
            "--lease-prefix batchops_ gives leases columns of their own, for queue init and drain alike; "
            "--lease-in table keeps them in a separate table.",
        )

    def taken_over(self, claims: ClaimQueries, table: Table) -> Sequence[Column]:
        """Return the lease columns that `queue init` did not make: their type or their place differs."""
        there = [column for column, _ in self._there(table)]
        places = {column.name: n for n, column in enumerate(table.columns)}
        others = [
            column for column, purpose in self._there(table)
            if not claims.is_own(column, self.kinds[purpose]) or (purpose == "attempts" and column.nullable)
        ]  # fmt: skip
        if not self.missing(table):
            # The columns that `queue init` adds follow one another, in its own order.
            for before, after in pairwise(map(self.name, KINDS)):
                if places[after] < places[before]:
                    others.append(table.column(after))
        return list(dict.fromkeys(column for column in there if column in others))

    def _there(self, table: Table) -> list[tuple[Column, str]]:
        return [(table.column(self.name(one)), one) for one in self.kinds if self.name(one) in table.column_names]

    def _unfit(self, claims: ClaimQueries, column: Column, purpose: str) -> str | None:
        kind = self.kinds[purpose]
        if column.generated:
            return "it is generated, and cannot be written"
        if not claims.serves(column, kind, WIDTHS.get(purpose, 0)):
            return f"{column.type}, where {WANTED[kind].format(WIDTHS.get(purpose))} is needed"
        if kind != "count" and not column.nullable:
            return "it is NOT NULL, where NULL means that nobody holds the row"
        return None
