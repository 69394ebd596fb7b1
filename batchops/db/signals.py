"""What a server can be watched for: each signal, and the right that it takes to read it."""

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
    """In its unit; None: there is nothing to measure now, as on a server without replicas."""
    of: str = ""
    """What the value is of: the replica, the slot."""
    reason: str = ""
    """Why to wait, whatever the value, where the signal itself says so."""
    limit: float | None = None
    """A limit of its own, in place of the throttle's."""
    parts: "tuple[Measured, ...]" = ()
    """What it consists of, each with a value, where each is held against the limit: several replicas."""


@dataclass(frozen=True)
class Replica:
    """A replica that --replica names: by its URL, or as the server itself calls it."""

    name: str
    address: "DatabaseAddress | None" = None
    limit: float | None = None
    """Seconds of lag that are allowed to it; None: the throttle's limit counts."""


@dataclass(frozen=True)
class Scope:
    """Whom a signal is read for."""

    role: str
    table: "Table | None" = None
    replicas: tuple[Replica, ...] = ()
    """The replicas that are named."""
    own_sessions: "Callable[[], Collection[int]]" = lambda: ()
    """The sessions of the run that are at work, by the numbers that the server knows them by."""
    commit_seconds: "Callable[[], float | None]" = lambda: None
    """What the run's COMMITs took lately; None where there was none."""


def run_scope(role: str, table: "Table", replicas: tuple[Replica, ...], database: "Database") -> Scope:
    """Of a run on that database."""
    return Scope(role, table, replicas, database.sessions_at_work, database.commit_times.mean)


class Signal(Protocol):
    """A signal that is read again and again, and may compare readings."""

    def read(self, connection: "sa.Connection") -> Measured:
        """One reading. Raises where there is none: what is unknown is no value."""


@dataclass(frozen=True)
class ServerSignal:
    """A signal that one database offers."""

    open: Callable[[Scope], Signal]
    missing_right: "Callable[[sa.Connection, Scope], str | None]" = lambda _, __: None
    """The statement that lets the role read it; None where it may."""
    quiet: "Callable[[sa.Connection, Scope], bool]" = lambda _, __: False
    """Whether there is nothing to measure now, so that a default need not be watched yet."""
    unavailable: Callable[[Scope], str] = lambda _: ""
    """What is missing to measure it, which a right does not give; empty: nothing."""
    writes: bool = False
    """Whether a reading may write to the disk, so that a plan takes none."""
    takes_replicas: bool = False
    """Whether it is about replicas that are named by their URLs."""
    knows_replicas: bool = False
    """Whether it is about replicas that the server names itself; each may have a limit of its own."""
