"""What can be done with a partition as a whole, where a database has such."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.table import Table


@dataclass(frozen=True)
class Detached:
    """A partition that was taken out of its parent, and how it is put back."""

    schema: str | None
    name: str
    parent_schema: str
    parent: str
    bound: str


class Partitions(Protocol):
    """What can be done with a partition as a whole."""

    def covered(self, connection: sa.Connection, leaves: Sequence[Table], failing: sa.TextClause) -> list[Table]:
        """Those without a `failing` row, as the planner proves by their bounds."""

    def detach(self, connection: sa.Connection, leaf: Table) -> Detached | None:
        """Take it out of its parent; None: it is no partition by now."""

    def hold(self, connection: sa.Connection, detached: Detached) -> None:
        """Keep everybody else from it until the transaction ends."""

    def attach(self, connection: sa.Connection, detached: Detached) -> None:
        """Put it back as it was."""

    def drop(self, connection: sa.Connection, detached: Detached) -> None:
        """For good."""

    def leaves(
        self, connection: sa.Connection, table: Table, select: sa.Select[Any], right: str
    ) -> Sequence[Table] | None:
        """Partitions and children that may hold rows of `select`; None for a plain table, empty: only as one."""
