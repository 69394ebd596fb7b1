"""Connections, the transactions on them, and how one session wakes another."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.urls import DatabaseAddress

SILENCE = 10.0
"""Seconds beyond its own timeout after which a server that says nothing counts as gone: a half-open link."""


class Joined(Enum):
    """What is sent along with the first statement of a transaction; each saves a round trip."""

    NOTHING = 0
    BEGIN = 1
    BEGIN_AND_COMMIT = 2
    """Where there is no second statement."""


@dataclass(frozen=True)
class Timeouts:
    """How long a statement may wait for a lock, and how long it may run, in seconds."""

    lock: float = 5.0
    statement: float = 60.0


class Sessions(Protocol):
    """How a database is connected to, and how its transactions begin."""

    one_writer: bool
    """Whether a second connection cannot write while the first does (SQLite)."""
    locks_rows: bool
    """Whether SELECT … FOR UPDATE (SKIP LOCKED) exists."""
    undoes_statements: bool
    """Whether a statement that fails undoes what it did, and the transaction continues without it."""

    commits_lazily: bool
    """Whether a COMMIT that need not wait for the disk does not."""

    def engine(self, address: DatabaseAddress, timeouts: Timeouts, connections: int) -> sa.Engine:
        """`connections`: how many may be running at one time; each is kept for the next who needs one."""

    def version(self, connection: Any) -> str:
        """What the server says its version is, asked by a driver's connection: variants are told apart by it."""

    def session(self, connection: Any) -> int | None:
        """The number by which the server knows a driver's connection; None where there is none such."""

    def attend(self, engine: sa.Engine, timeouts: Timeouts) -> None:
        """Set what each connection of the engine needs; called once, before the first statement."""

    def begin(
        self, connection: sa.Connection, *, lazy: bool = False, durable: bool = False, joined: Joined = Joined.NOTHING
    ) -> None:
        """Begin a transaction that will write; `lazy`: its COMMIT need not wait for the disk.

        `durable`: it has to, also where the session's own setting is weaker, as far as a session may set that.
        `joined`: what may be sent with the first statement.
        """

    def begin_reading(self, connection: sa.Connection) -> None:
        """Begin a transaction that the server itself keeps from writing."""

    def accept_hidden_rows(self, connection: sa.Connection) -> None:
        """From now on, leave rows that a policy hides alone instead of failing."""

    def cancel(self, connection: Any, engine: sa.Engine) -> None:
        """Cancel what a driver connection is running; called from another thread."""


class Notifications(Protocol):
    """Notifications, where a family has them."""

    def listen(self, connection: sa.Connection, channel: str) -> None:
        """Begin to hear notifications on `channel`."""

    def notify(self, connection: sa.Connection, channel: str) -> None:
        """Notify the listeners on `channel` once the transaction commits."""

    def received(self, connection: sa.Connection, seconds: float) -> frozenset[str]:
        """The channels on which something came within that long; at once where something has."""
