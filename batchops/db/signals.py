"""Signals of a server that a throttle can watch, and the right that each one needs."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import sqlalchemy as sa

    from batchops.db.database import Database
    from batchops.db.table import Table
    from batchops.db.urls import DatabaseAddress


@dataclass(frozen=True)
class Measured:
    """One reading of a signal."""

    value: float | None
    """The value in the signal's unit; None: there is nothing to measure now, as on a server without replicas."""
    of: str = ""
    """What the value belongs to: the replica, the slot."""
    reason: str = ""
    """Why the run has to wait whatever the value is; empty where the limit decides."""
    limit: float | None = None
    """The limit for this reading, in place of the throttle's."""
    parts: "tuple[Measured, ...]" = ()
    """The readings that it is made of, where each one is compared with the limit: those of several replicas."""


@dataclass(frozen=True)
class Replica:
    """A replica that --replica names, by its URL or by the server's own name for it."""

    name: str
    address: "DatabaseAddress | None" = None
    limit: float | None = None
    """The seconds of lag that this replica may have; None: the throttle's limit applies."""


@dataclass(frozen=True)
class Scope:
    """The run, or its plan, that a signal is read for."""

    role: str
    table: "Table | None" = None
    replicas: tuple[Replica, ...] = ()
    """The replicas that --replica names."""
    own_sessions: "Callable[[], Collection[int]]" = lambda: ()
    """Returns the server's numbers of the run's sessions that are in use."""
    commit_seconds: "Callable[[], float | None]" = lambda: None
    """Returns the mean time of the run's recent COMMITs; None where there was none."""


def run_scope(role: str, table: "Table", replicas: tuple[Replica, ...], database: "Database") -> Scope:
    """Return the scope of a run on that database."""
    return Scope(role, table, replicas, database.sessions_at_work, database.commit_times.mean)


class Signal(Protocol):
    """A signal that is read repeatedly, and may compare each reading with earlier ones."""

    def read(self, connection: "sa.Connection") -> Measured:
        """Return one reading; raise an error where the value is unknown."""


@dataclass(frozen=True)
class ServerSignal:
    """A signal that one database offers."""

    open: Callable[[Scope], Signal]
    missing_right: "Callable[[sa.Connection, Scope], str | None]" = lambda _, __: None
    """Returns the statement that lets the role read the signal; None where it may."""
    quiet: "Callable[[sa.Connection, Scope], bool]" = lambda _, __: False
    """Returns whether there is nothing to measure now, so that a throttle that is on by default need not watch yet."""
    unavailable: Callable[[Scope], str] = lambda _: ""
    """Returns what is missing to measure the signal, apart from a right; empty: nothing."""
    writes: bool = False
    """Whether a reading may write to the disk; then a plan takes no reading."""
    takes_replicas: bool = False
    """Whether it measures the replicas that --replica names by their URLs."""
    knows_replicas: bool = False
    """Whether it measures the replicas that the server knows by name; each may have a limit of its own."""
