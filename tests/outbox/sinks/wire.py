"""A wire between a sink and its broker that loses what comes back, on demand."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

Cut = Callable[[bytes], bool]
"""Whether to cut the connection instead of passing on these bytes from the broker."""


class Wire:
    """Passes everything on, until `cut` says of something that comes back that it is to be lost."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.cut: Cut = lambda _: False
        self.deaf = False
        """Swallows what comes back, and keeps the connection."""
        self.cuts = 0
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def sever(self) -> None:
        """Cut all connections now."""
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(10)
        self.sever()
        for thread in self._threads:
            thread.join(10)
        for end in (self._listener, *self._ends):
            end.close()

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self.target, timeout=10)
                    server.settimeout(None)
                    for end in (client, server):
                        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                except OSError:  # one of the two has gone
                    client.close()
                    continue
                self._ends += (client, server)
                self._spawn(self._forth, client, server)
                self._spawn(self._pass, server, client, self._lost)

    def _forth(self, client: socket.socket, server: socket.socket) -> None:
        self._pass(client, server, lambda _: False)

    def _lost(self, data: bytes) -> bool:
        if not self.cut(data):
            return False
        self.cuts += 1
        return True

    def _pass(self, source: socket.socket, target: socket.socket, lost: Cut) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if lost(data):
                    break
                if not (self.deaf and lost.__name__ == "_lost"):
                    target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
