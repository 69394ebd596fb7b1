"""What can be done with a whole partition, for databases that have partitions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.table import Table


@dataclass(frozen=True)
class Detached:
    """A partition that was detached from its parent, with what is needed to attach it again."""

    schema: str | None
    name: str
    parent_schema: str
    parent: str
    bound: str


class Partitions(Protocol):
    """What one database can do with whole partitions."""

    def covered(self, connection: sa.Connection, leaves: Sequence[Table], failing: sa.TextClause) -> list[Table]:
        """Return the partitions that have no `failing` row, as the planner proves by their bounds."""

    def detach(self, connection: sa.Connection, leaf: Table) -> Detached | None:
        """Detach the partition from its parent; None where it is no longer a partition."""

    def hold(self, connection: sa.Connection, detached: Detached) -> None:
        """Lock the detached table against all other sessions until the transaction ends."""

    def attach(self, connection: sa.Connection, detached: Detached) -> None:
        """Attach the table to its parent again, with the same bounds."""

    def drop(self, connection: sa.Connection, detached: Detached) -> None:
        """Drop the detached table for good."""

    def leaves(
        self, connection: sa.Connection, table: Table, select: sa.Select[Any], right: str
    ) -> Sequence[Table] | None:
        """Return the partitions and inheriting tables that may hold rows of `select`; None for a plain table.

        Empty: the table has to be processed as a whole. `right` is what the role needs on each of them.
        """
