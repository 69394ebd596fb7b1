"""Connections, the transactions on them, and notifications between sessions."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.urls import DatabaseAddress

SILENCE = 10.0
"""Seconds after its own timeout when a server that has not answered counts as gone: the link is half open."""


class Joined(Enum):
    """What is sent together with the first statement of a transaction; each part saves a round trip."""

    NOTHING = 0
    BEGIN = 1
    BEGIN_AND_COMMIT = 2
    """For a transaction of a single statement."""


@dataclass(frozen=True)
class Timeouts:
    """How long a statement may wait for a lock, and how long it may run, in seconds."""

    lock: float = 5.0
    statement: float = 60.0


class Sessions(Protocol):
    """How a database is connected to, and how its transactions begin."""

    one_writer: bool
    """Whether only one connection can write at a time (SQLite)."""
    locks_rows: bool
    """Whether SELECT … FOR UPDATE (SKIP LOCKED) exists."""
    undoes_statements: bool
    """Whether a failed statement undoes its own changes, and the transaction can continue without it."""

    commits_lazily: bool
    """Whether a `lazy` COMMIT really does not wait for the disk."""

    def engine(self, address: DatabaseAddress, timeouts: Timeouts, connections: int) -> sa.Engine:
        """Return the engine of SQLAlchemy for the address; its pool keeps up to `connections` connections open."""

    def version(self, connection: Any) -> str:
        """Return the version that the server reports, asked by the driver's connection; variants differ by it."""

    def session(self, connection: Any) -> int | None:
        """Return the server's number for the session of a driver's connection; None where the database has none."""

    def attend(self, engine: sa.Engine, timeouts: Timeouts) -> None:
        """Let the engine prepare each connection as it needs; called once, before the first statement."""

    def begin(
        self, connection: sa.Connection, *, lazy: bool = False, durable: bool = False, joined: Joined = Joined.NOTHING
    ) -> None:
        """Begin a transaction that will write.

        `lazy`: its COMMIT need not wait for the disk. `durable`: its COMMIT has to wait, also where the session's own
        setting is weaker, as far as a session may set that. `joined`: what may be sent with the first statement.
        """

    def begin_reading(self, connection: sa.Connection) -> None:
        """Begin a transaction in which the server refuses every write."""

    def accept_hidden_rows(self, connection: sa.Connection) -> None:
        """From now on, leave out rows that a policy hides instead of failing."""

    def cancel(self, connection: Any, engine: sa.Engine) -> None:
        """Cancel the statement that a driver's connection is running; called from another thread."""


class Notifications(Protocol):
    """How sessions notify each other, in a database that has notifications."""

    def listen(self, connection: sa.Connection, channel: str) -> None:
        """Begin to receive notifications on `channel`."""

    def notify(self, connection: sa.Connection, channel: str) -> None:
        """Notify the listeners on `channel` once the transaction commits."""

    def received(self, connection: sa.Connection, seconds: float) -> frozenset[str]:
        """Return the channels of the notifications that arrive within so many seconds, as soon as one has arrived."""
