"""Pings for services like healthchecks.io: URL/start at the start, URL after success, URL/EXIT after a failure.

Threads send them in order. Their errors are reported once and never end a run. A host that does not answer costs
seconds for each ping: so only the newest waiting ping of each kind is kept, and old ones are not sent.
"""

import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from batchops.errors import UsageError
from batchops.events import Event, Finished, Started
from batchops.reporters import Warn
from batchops.reporters.progress import Progress
from batchops.reporters.summary import ended_line, error_lines
from batchops.runtime.threads import Threads

TIMEOUT = 5.0
"""Seconds for one ping."""
CLOSE_TIMEOUT = 10.0
"""Seconds that the program waits at its end until the pings are sent."""
STALE = 60.0
"""Seconds after which a waiting ping is dropped: it would report a start or an end that is long past."""
Deliver = Callable[[str, bytes], None]


@dataclass(frozen=True)
class Ping:
    """A ping that waits to be sent."""

    url: str
    body: bytes
    at: float


class PingSender:
    """Sends pings, from a thread for each host; all jobs of a process share it."""

    def __init__(
        self, warn: Warn, clock: Callable[[], float] = time.monotonic, deliver: Deliver | None = None
    ) -> None:  # fmt: skip
        self._warn = warn
        self._clock = clock
        self._deliver = deliver or _send
        self._queues: dict[str, PingQueue] = {}
        self._guard = threading.Lock()

    def send(self, url: str, text: str, kind: Hashable) -> None:
        """Send a ping as soon as those before it are sent, unless a newer one of its kind replaces it."""
        host = urllib.parse.urlsplit(url).hostname or ""
        with self._guard:  # jobs of a scheduler send from threads of their own
            if host not in self._queues:
                self._queues[host] = PingQueue(host, self._warn, self._clock, self._deliver)
        self._queues[host].put(kind, Ping(url, text.encode()[:10_000], self._clock()))

    def close(self, longest: float = CLOSE_TIMEOUT) -> None:
        """Wait at most `longest` seconds for waiting pings to be sent; Ctrl-C ends the wait, not the program."""
        end = self._clock() + longest
        try:
            left = sum([one.close(end) for one in self._queues.values()])
        except KeyboardInterrupt:
            left = sum(len(one) for one in self._queues.values())
        if left:
            self._warn(f"warning: {left} {'ping was' if left == 1 else 'pings were'} not sent.")


class PingQueue:
    """The pings that wait for one host, and the thread that sends them."""

    def __init__(self, host: str, warn: Warn, clock: Callable[[], float], deliver: Deliver) -> None:
        self._host = host
        self._warn = warn
        self._clock = clock
        self._deliver = deliver
        self._waiting: dict[Hashable, Ping] = {}
        self._sending = False
        self._closing = False
        self._warned = False
        self._changed = threading.Condition()
        self._threads = Threads(lambda error: self._complain(str(error)), warn)
        self._thread = self._threads.start("pings", self._send_all)

    def __len__(self) -> int:
        with self._changed:
            return len(self._waiting) + self._sending

    def put(self, kind: Hashable, ping: Ping) -> None:
        """Queue a ping behind all others; a waiting one of its kind is dropped."""
        with self._changed:
            self._waiting.pop(kind, None)
            self._waiting[kind] = ping
            self._changed.notify()

    def close(self, end: float) -> int:
        """Wait until that time for the pings to be sent; return how many are left."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(max(0.0, end - self._clock()))
        return len(self)

    def _send_all(self) -> None:
        while (ping := self._next()) is not None:
            try:
                self._send(ping)
            except Exception as error:  # noqa: BLE001  the run continues after any error of a host or an address
                self._complain(_why(error))

    def _next(self) -> Ping | None:
        with self._changed:
            self._sending = False
            while not self._waiting:
                if self._closing:
                    return None
                self._changed.wait()
            self._sending = True
            return self._waiting.pop(next(iter(self._waiting)))

    def _send(self, ping: Ping) -> None:
        if self._clock() - ping.at > STALE:
            self._complain(f"it had waited for {STALE:.0f} s")
            return
        self._deliver(ping.url, ping.body)

    def _complain(self, why: str) -> None:
        """Warn, once for each host; the warning leaves out the URL's path, which is a secret."""
        if not self._warned:
            self._warned = True
            self._warn(f"warning: {self._host} did not accept a ping: {why}. The run continues.")


class Pings:
    """Pings one URL when a run of a job begins and ends."""

    def __init__(self, url: str, post: PingSender, new_id: Callable[[], object] = uuid.uuid4) -> None:
        self._url = urllib.parse.urlsplit(url)
        self._post = post
        self._new_id = new_id
        self._run = str(new_id())
        self._progress = Progress()

    def __call__(self, event: Event) -> None:
        self._progress(event)
        if isinstance(event, Started):
            self._run = str(self._new_id())
            self._send("started", "/start", "")
        elif isinstance(event, Finished):
            error = error_lines(event.error) if event.error else ()
            text = "\n".join([ended_line(event, self._progress), *error])
            self._send("failed" if event.exit else "well", f"/{event.exit}" if event.exit else "", text)
            self._progress, self._run = Progress(), str(self._new_id())

    def _send(self, kind: str, path: str, text: str) -> None:
        rid = "&".join(part for part in (self._url.query, f"rid={self._run}") if part)
        changed = self._url._replace(path=self._url.path.rstrip("/") + path, query=rid)
        self._post.send(urllib.parse.urlunsplit(changed), text, (self._url, kind))


def ping_url(text: str) -> str:
    """Return the text if it is a URL that can be pinged; the error does not repeat it, as it is a secret."""
    parts = urllib.parse.urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("What --ping gives is not an http:// or https:// URL.", "env:NAME and file:PATH fetch one.")
    return text


def _send(url: str, body: bytes) -> None:
    request = urllib.request.Request(url, data=body, headers={"User-Agent": "batchops"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        answer.read(1024)


def _why(error: Exception) -> str:
    return f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else _reason(error)


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return getattr(reason, "strerror", None) or type(reason).__name__
