"""What can be done with a whole partition, for databases that have partitions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import sqlalchemy as sa

from batchops.db.table import Table

State = Literal["detached", "attached", "renamed", "another", "gone"]
"""The state of a detached partition: as it was left, a partition again, under another name, another table has its
name, or dropped."""


@dataclass(frozen=True)
class Detached:
    """A partition that was detached from its parent, with what is needed to attach it again."""

    schema: str | None
    name: str
    parent_schema: str
    parent: str
    bound: str
    identity: str = ""
    """What the catalog finds the table by, whatever its name is; empty in records of earlier versions."""


class Partitions(Protocol):
    """What one database can do with whole partitions."""

    def covered(self, connection: sa.Connection, leaves: Sequence[Table], failing: sa.TextClause) -> list[Table]:
        """Return the partitions that have no `failing` row, as the planner proves by their bounds."""

    def bound(self, connection: sa.Connection, leaf: Table) -> str:
        """Return the partition's bounds in SQL; empty for one that takes what no other partition takes."""

    def lacks(self, connection: sa.Connection, parent_schema: str, parent: str, bound: str) -> bool:
        """Whether the parent has neither a partition with these bounds nor one that takes what no other takes."""

    def how(self, connection: sa.Connection, leaf: Table) -> str:
        """Return how `detach` detaches such a partition, and why so, in words."""

    def obstacles(self, connection: sa.Connection, leaf: Table) -> Sequence[str]:
        """Return why dropping the partition would do less, or more, than deleting all of its rows, in words."""

    def detach(self, connection: sa.Connection, leaf: Table) -> Detached | None:
        """Detach the partition from its parent; None where it is no longer a partition.

        Until it is attached again, the table accepts only rows within its bounds.
        """

    def state(self, connection: sa.Connection, detached: Detached) -> State:
        """Return what has become of a detached partition."""

    def hold(self, connection: sa.Connection, detached: Detached) -> None:
        """Lock the detached table against all other sessions until the transaction ends."""

    def validate(self, connection: sa.Connection, detached: Detached) -> None:
        """Check that all rows of the detached table are within its bounds, so that `attach` need not read them."""

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
