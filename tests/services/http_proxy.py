"""What stands between a client and a server of HTTP: it passes requests on, or treats some in its own way."""

import http.client
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What it is told."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def refusal(status: int, code: str, message: str = "told by the proxy") -> Answer:
    """As S3 spells errors."""
    return Answer(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())


Treat = Callable[[Request], Answer | None]
"""The answer to a request, without asking the server; None: it is passed on."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed, or gave up."""


class HttpProxy:
    """Attributes may be changed while it runs."""

    def __init__(self, target: str, treat: Treat = lambda _: None) -> None:
        self.treat = treat
        self.seen: list[Request] = []
        self._target = urlsplit(target)
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def ask(self, request: Request) -> Answer:
        """What the server itself answers."""
        link = http.client.HTTPConnection(self._target.hostname or "", self._target.port, timeout=60)
        try:
            link.request(request.method, request.path, request.body or None, request.headers)
            given = link.getresponse()
            return Answer(given.status, given.read(), dict(given.getheaders()))
        finally:
            link.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else the body waits 40 ms for the client to acknowledge the headers

            def _pass(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
                request = Request(self.command, self.path, self.rfile.read(length), headers)
                proxy.seen.append(request)
                answer = proxy.treat(request) or proxy.ask(request)
                with suppress(OSError):  # a client that was killed
                    self.send_response(answer.status)
                    for name, value in answer.headers.items():
                        if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                            self.send_header(name, value)
                    length_told = answer.headers.get("Content-Length") if self.command == "HEAD" else None
                    self.send_header("Content-Length", length_told or str(len(answer.body)))
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(answer.body)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass  # noqa: N815  the names that it looks for

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
