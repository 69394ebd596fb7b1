"""A wire between a client and its server that breaks, or stalls, just when a COMMIT goes over it."""

import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, Self

from sqlalchemy import make_url

from tests.services.frames import mysql_frames, postgresql_frames

Mode = Literal["pass", "cut_before", "cut_after", "stall"]
"""cut_before: the COMMIT never reaches the server. cut_after: it does and is done, its answer is lost.
stall: it waits, with all that follows on its connection, until `release()`."""

COMMIT = re.compile(r"\s*(COMMIT|END)\b", re.IGNORECASE)


class Proxy:
    """Passes everything on, but each `every`-th COMMIT, `times` of them at most, it treats by its mode.

    Given `of`, only COMMITs of transactions that sent this text, in any case, count: so a heartbeat's do not.
    TLS is refused, as what it hides cannot be read. Attributes may be changed while it runs.
    """

    def __init__(
        self, url: str, mode: Mode = "pass", *, every: int = 1, times: int | None = None, of: str = ""
    ) -> None:
        self._target = make_url(url)
        self.mode: Mode = mode
        self.every = every
        self.times = times
        self.of = of.casefold()
        self.seen = 0
        """COMMITs that counted."""
        self.cut = 0
        """COMMITs that were cut or stalled."""
        postgresql = self._target.get_backend_name() == "postgresql"
        self._frames = postgresql_frames if postgresql else mysql_frames
        self._lock = threading.Lock()
        self._go = threading.Event()
        self._links: list[_Link] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        """The server's URL with our address."""
        host, port = self._listener.getsockname()
        return self._target.set(host=host, port=port).render_as_string(hide_password=False)

    def release(self) -> None:
        """Let the COMMITs that are stalled now go on."""
        go, self._go = self._go, threading.Event()
        go.set()

    def wait(self, cut: int = 1, seconds: float = 60) -> None:
        """Until so many COMMITs were cut or stalled."""
        end = time.monotonic() + seconds
        while self.cut < cut:
            assert time.monotonic() < end, f"{self.cut} COMMITs cut after {seconds:g} s, {self.seen} seen"
            time.sleep(0.01)

    def sever(self) -> None:
        """Cut all connections now, whatever they are doing."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.cut()

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        """In this order no link is overlooked, and no COMMIT that is stalled slips through."""
        _shut(self._listener)
        self._threads[0].join(10)
        self.sever()
        self.release()
        for thread in self._threads:
            thread.join(10)
        for end in (self._listener, *(end for link in self._links for end in link.ends)):
            end.close()

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed: the end
            while True:
                client, _ = self._listener.accept()
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection((self._target.host, self._target.port or 0), timeout=10)
        except OSError:  # a server that is down: the client sees its connection end
            client.close()
            return
        server.settimeout(None)
        link = _Link(client, server)
        for end in link.ends:  # messages go out one by one: Nagle would hold each for 40 ms
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._links.append(link)
        self._spawn(self._upstream, link)
        self._spawn(link.downstream)

    def _upstream(self, link: "_Link") -> None:
        """From the client to the server, message by message."""
        matches = False
        with suppress(OSError):
            for frame in self._frames(link.client):
                matches = matches or self.of in frame.sql.casefold()
                if COMMIT.match(frame.sql):
                    if matches and self._counts() and not self._treat(link):
                        break
                    matches = False
                link.server.sendall(frame.data)
        link.cut()

    def _counts(self) -> bool:
        """Count a COMMIT; whether it is one to treat."""
        with self._lock:
            self.seen += 1
            due = self.mode != "pass" and self.seen % self.every == 0
            if not due or (self.times is not None and self.cut >= self.times):
                return False
            self.cut += 1
            return True

    def _treat(self, link: "_Link") -> bool:
        """Whether the COMMIT is still sent to the server."""
        if self.mode == "cut_after":
            link.muted.set()
        elif self.mode == "stall":
            self._go.wait()
        return self.mode != "cut_before"


class _Link:
    """One client's connection and ours to the server."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.muted = threading.Event()
        """The next answer is to a COMMIT, and will be lost."""

    def downstream(self) -> None:
        with suppress(OSError):
            while data := self.server.recv(65536):
                if self.muted.is_set():  # an answer at all means that the COMMIT is done
                    break
                self.client.sendall(data)
        self.cut()

    @property
    def ends(self) -> tuple[socket.socket, socket.socket]:
        return self.client, self.server

    def cut(self) -> None:
        for end in self.ends:
            _shut(end)


def _shut(end: socket.socket) -> None:
    """Wakes the thread that waits in it; closing would not, and hand the number to another connection."""
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
