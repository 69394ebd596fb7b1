"""Control: reads from the ledger what people ask of a run while it works, and obeys."""

import math
import threading
import time
from collections.abc import Callable, Sequence

from batchops.events import PAUSE, ThrottleReason
from batchops.ledger import requests
from batchops.ledger.ledger import Ledger
from batchops.ledger.requests import Request
from batchops.runtime.lease import RENEWALS, Lease
from batchops.runtime.live_settings import LiveSettings
from batchops.runtime.stop import Stop

PAUSE_SECONDS = 5.0
"""Seconds after which a paused run checks its limits and its window again; a resume wakes it at once."""


class Control:
    """Obeys the requests to one run.

    The heartbeat's thread reads them in a read-only transaction of its own. Where a database has one writer, the loop
    reads them too: between two batches a reader blocks no writer.
    """

    def __init__(
        self, ledger: Ledger, lease: Lease, scopes: Sequence[str], live: LiveSettings, stop: Stop,
        warn: Callable[[str], None], clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`scopes`: the scopes whose requests the run obeys; `warn` is called with each request, as text."""
        self._ledger = ledger
        self._lease = lease
        self._scopes = scopes
        self._live = live
        self._stop = stop
        self._warn = warn
        self._clock = clock
        self._between_batches = ledger.database.backend.sessions.one_writer
        self._every = lease.seconds / RENEWALS
        self._looked = -math.inf
        self._guard = threading.Lock()
        self._pauses: list[Request] = []
        self._stopping: Request | None = None
        self._settings: list[Request] = []

    def look(self) -> None:
        """Read the requests and obey them."""
        with self._guard:
            self._looked = self._clock()
            with self._ledger.database.reading() as connection:
                found = requests.load(connection, self._ledger, self._scopes)
            self._obey_settings(found)
            self._obey_pauses(requests.pauses(found))
            self._obey_stop(requests.to_stop(found, self._lease.token))

    def look_if_due(self) -> None:
        """Read the requests and obey them, unless that was done a moment ago."""
        if self._clock() - self._looked >= 0.9 * self._every:
            self.look()

    def throttle(self) -> ThrottleReason | None:
        """The loop's throttle: return who has paused the run; None while nobody has."""
        if self._between_batches:
            self.look_if_due()
        held = self._pauses
        return ThrottleReason("; ".join(one.paused for one in held), PAUSE_SECONDS, PAUSE) if held else None

    def _obey_settings(self, found: Sequence[Request]) -> None:
        mine = [one for one in found if one.action == "set" and one.lease in (None, self._lease.token)]
        for one in mine:
            if one not in self._settings:
                self._warn(f"{one.by} set {one.settings_text}, at {one.time}.")
        self._settings = mine
        if self._live.change(requests.settings(mine, self._scopes, self._lease.token)):
            self._stop.wake()

    def _obey_pauses(self, held: list[Request]) -> None:
        for one in held:
            if one not in self._pauses:
                self._warn(f"The run is {one.paused}")
        if held != self._pauses:
            self._pauses = held
            self._stop.wake()

    def _obey_stop(self, asked: Request | None) -> None:
        if asked is None or asked == self._stopping:
            return
        self._stopping = asked
        self._warn(f"{asked.by} asked the run to {asked.action}" + (f": {asked.reason}" if asked.reason else "."))
        self._stop.ask("stopped")
        if asked.action == "cancel":
            self._stop.hurry()
