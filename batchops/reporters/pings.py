"""Pings as healthchecks.io and its like take them: URL/start, URL when it is well, URL/EXIT when it is not.

Sent from a thread, in their order; what goes wrong with them is told once, and never more than told.
"""

import queue
import threading
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable

from batchops.errors import UsageError
from batchops.events import Event, Finished, Started
from batchops.reporters import Warn
from batchops.reporters.summary import ended_line, error_lines
from batchops.reporters.tally import Tally

TIMEOUT = 5.0
"""Seconds for one ping."""
FAREWELL = 10.0
"""Seconds that the end waits for pings to get out."""


class Post:
    """Sends pings one after the other; shared by all jobs of a process."""

    def __init__(self, warn: Warn) -> None:
        self._warn = warn
        self._waiting: queue.Queue[tuple[str, bytes] | None] = queue.Queue()
        self._complained: set[str] = set()
        self._thread = threading.Thread(target=self._send_all, name="batchops-pings", daemon=True)
        self._thread.start()

    def send(self, url: str, text: str) -> None:
        """As soon as those before it are out."""
        self._waiting.put((url, text.encode()[:10_000]))

    def close(self) -> None:
        """Wait for what is still to be sent, but not for ever."""
        self._waiting.put(None)
        self._thread.join(FAREWELL)

    def _send_all(self) -> None:
        while (ping := self._waiting.get()) is not None:
            try:
                _send(*ping)
            except (OSError, ValueError) as error:
                self._complain(ping[0], error)

    def _complain(self, url: str, error: Exception) -> None:
        """Once for each host; its path is a secret."""
        host = urllib.parse.urlsplit(url).hostname or ""
        if host in self._complained:
            return
        self._complained.add(host)
        why = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else _reason(error)
        self._warn(f"warning: {host} did not take a ping: {why}. The run goes on.")


class Pings:
    """Tells one URL how the runs of a job begin and end."""

    def __init__(self, url: str, post: Post, new_id: Callable[[], object] = uuid.uuid4) -> None:
        self._url = urllib.parse.urlsplit(url)
        self._post = post
        self._new_id = new_id
        self._run = str(new_id())
        self._tally = Tally()

    def __call__(self, event: Event) -> None:
        self._tally(event)
        if isinstance(event, Started):
            self._run = str(self._new_id())
            self._send("/start", "")
        elif isinstance(event, Finished):
            error = error_lines(event.error) if event.error else ()
            text = "\n".join([ended_line(event, self._tally), *error])
            self._send(f"/{event.exit}" if event.exit else "", text)
            self._tally, self._run = Tally(), str(self._new_id())

    def _send(self, path: str, text: str) -> None:
        rid = "&".join(part for part in (self._url.query, f"rid={self._run}") if part)
        changed = self._url._replace(path=self._url.path.rstrip("/") + path, query=rid)
        self._post.send(urllib.parse.urlunsplit(changed), text)


def ping_url(text: str) -> str:
    """The text, where it is a URL that can be pinged; the error does not repeat it, as it is a secret."""
    parts = urllib.parse.urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("What --ping gives is no http:// or https:// URL.", "env:NAME and file:PATH fetch one.")
    return text


def _send(url: str, body: bytes) -> None:
    request = urllib.request.Request(url, data=body, headers={"User-Agent": "batchops"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        answer.read(1024)


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return getattr(reason, "strerror", None) or type(reason).__name__
