"""Ends a sleep early by a notification, if notifications are known to arrive."""

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
"""Between attempts to listen."""
PROVED = 60.0
"""Seconds after which it is proved again: a link may be half open, a pooler come between."""
ARRIVES = 5.0
"""Seconds within which a notification arrives on a loaded server too."""
SLICE = 0.2
"""Seconds that the thread may take to end."""
UNHEARD = (
    "notifications do not arrive on this connection, as behind a connection pooler in transaction mode (PgBouncer). "
    "Hint: let --url name the server itself, or a pool in session mode"
)


@contextmanager
def woken(
    database: Database, channel: str | None, stop: Stop, threads: Threads, emit: Emit
) -> Iterator[Callable[[float], None] | None]:  # fmt: skip
    """How to sleep, listening on the channel until the block ends; None where there is nothing to hear."""
    notifications = database.backend.notifications
    if channel is None or notifications is None:
        yield None
        return
    wake = Wake(database, notifications, channel, stop, emit)
    with threads.alongside("listen", wake.listen):
        yield wake.wait


class Wake:
    """Listens in one thread, ends sleeps in others. Notifications are a hint only: nothing is lost where none comes."""

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
        self._rung = threading.Event()
        self._trouble = ""
        self._failures = 0

    def wait(self, seconds: float) -> None:
        """Rest so long, or until a notification or the stop."""
        left = seconds
        while left > 0 and not self._stop.asked:
            if self._rung.wait(min(0.1, left)):
                self._rung.clear()
                return
            left -= 0.1

    def listen(self, over: threading.Event) -> None:
        """Listen until it is over; connect again whenever the connection is lost, and say what is wrong."""
        self._over = over
        while not self._over.is_set():
            try:
                with self._database.idle() as connection:
                    trouble = self._listen_on(connection)
            except Exception as error:  # noqa: BLE001  polling continues meanwhile, so a person should know
                trouble = described(error).rstrip(".")
            if self._over.is_set():
                return
            if trouble != self._trouble:
                self._trouble = trouble
                self._emit(Warned(f"--listen: only --poll wakes this process: {trouble}."))
            self._failures += 1
            self._over.wait(BACKOFF.pause(self._failures))

    def _listen_on(self, connection: sa.Connection) -> str:
        """Listen on this connection, until notifications arrive no more; says so."""
        while self._arrive(connection):
            self._notifications.listen(connection, self._channel)
            self._well()
            proved = self._clock()
            while self._clock() - proved < PROVED:
                if self._over.is_set():
                    return ""
                self._receive(connection, SLICE)
        return UNHEARD

    def _arrive(self, connection: sa.Connection) -> bool:
        """Whether what another connection notifies of is heard on this one.

        On a channel of its own: a pooler in transaction mode leaves LISTEN behind on a connection that others get.
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
        """The channels heard on within that long, or sooner; a notification for the process ends its sleep."""
        channels = self._notifications.received(connection, seconds)
        if self._channel in channels:
            self._rung.set()
        return channels

    def _well(self) -> None:
        self._failures = 0
        self._rung.set()  # what was notified of before it listened went unheard
        if self._trouble:
            self._trouble = ""
            self._emit(Warned("--listen: notifications arrive again."))
