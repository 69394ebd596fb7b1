"""Wake: ends a sleep early when the database sends a notification."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.sessions import Notifications
from batchops.events import Emit, Warned
from batchops.runtime.backoff import Backoff
from batchops.runtime.stop import Stop
from batchops.runtime.threads import Threads, described

BACKOFF = Backoff(first=1.0, longest=60.0)
"""The pauses between attempts to listen."""
PROVED = 60.0
"""Seconds after which batchops tests again that notifications arrive.

A connection may be half open, or go through a pooler by now."""
ARRIVES = 5.0
"""Seconds within which a notification arrives, also on a loaded server."""
SLICE = 0.2
"""Seconds for which the thread waits for a notification at once; it may take as long to end."""
UNHEARD = (
    "notifications do not arrive on this connection, as behind a connection pooler in transaction mode (PgBouncer). "
    "Hint: let --url name the server itself, or a pool in session mode"
)


@contextmanager
def woken(
    database: Database, channel: str | None, stop: Stop, threads: Threads, emit: Emit
) -> Iterator[Callable[[float], None] | None]:  # fmt: skip
    """Yield a sleep that a notification on the channel ends, while the block runs; None without notifications."""
    notifications = database.backend.notifications
    if channel is None or notifications is None:
        yield None
        return
    wake = Wake(database, notifications, channel, stop, emit)
    with threads.alongside("listen", wake.listen):
        yield wake.wait


class Wake:
    """Listens in one thread and ends the sleeps of others; a notification is only a hint, and may be lost."""

    def __init__(
        self, database: Database, notifications: Notifications, channel: str, stop: Stop, emit: Emit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._database = database
        self._notifications = notifications
        self._channel = channel
        self._stop = stop
        self._emit = emit
        self._clock = clock
        self._probe = f"batchops_{secrets.token_hex(6)}"
        self._over = threading.Event()
        self._notified = threading.Event()
        self._trouble = ""
        self._failures = 0

    def wait(self, seconds: float) -> None:
        """Sleep for so many seconds, or until a notification or the stop."""
        left = seconds
        while left > 0 and not self._stop.asked:
            if self._notified.wait(min(0.1, left)):
                self._notified.clear()
                return
            left -= 0.1

    def listen(self, over: threading.Event) -> None:
        """Listen until `over` is set; if the connection is lost, warn and connect again."""
        self._over = over
        while not self._over.is_set():
            try:
                with self._database.idle() as connection:
                    trouble = self._listen_on(connection)
            except Exception as error:  # noqa: BLE001  polling continues meanwhile, so the user gets a warning
                trouble = described(error).rstrip(".")
            if self._over.is_set():
                return
            if trouble != self._trouble:
                self._trouble = trouble
                self._emit(Warned(f"--listen: only --poll wakes this process: {trouble}."))
            self._failures += 1
            self._over.wait(BACKOFF.pause(self._failures))

    def _listen_on(self, connection: sa.Connection) -> str:
        """Listen on this connection until notifications no longer arrive; return that as text, or "" once over."""
        while self._arrive(connection):
            self._notifications.listen(connection, self._channel)
            self._listening_works()
            proved = self._clock()
            while self._clock() - proved < PROVED:
                if self._over.is_set():
                    return ""
                self._receive(connection, SLICE)
        return UNHEARD

    def _arrive(self, connection: sa.Connection) -> bool:
        """Whether this connection receives a notification that another connection sends.

        The test has a channel of its own: a pooler in transaction mode leaves LISTEN on a connection that others get.
        """
        self._notifications.listen(connection, self._probe)
        with self._database.transaction() as other:
            self._notifications.notify(other, self._probe)
        sent = self._clock()
        while self._clock() - sent < ARRIVES and not self._over.is_set():
            if self._probe in self._receive(connection, SLICE):
                return True
        return self._over.is_set()

    def _receive(self, connection: sa.Connection, seconds: float) -> frozenset[str]:
        """Return the channels that were notified within so many seconds; wake the sleepers if ours is one of them."""
        channels = self._notifications.received(connection, seconds)
        if self._channel in channels:
            self._notified.set()
        return channels

    def _listening_works(self) -> None:
        self._failures = 0
        self._notified.set()  # a notification that was sent before it listened was missed
        if self._trouble:
            self._trouble = ""
            self._emit(Warned("--listen: notifications arrive again."))
