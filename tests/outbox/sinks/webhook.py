"""A receiver over HTTP that answers as a test says."""

import http.server
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from tests.outbox.sinks.received import Received

Script = Callable[["Request"], int | None]
"""The status for a request; None cuts the connection without an answer."""


class Request:
    """A request that came: path, headers (in small letters) and body."""

    def __init__(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self.path = handler.path
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        length = int(self.headers.get("content-length", "0"))
        self.body = handler.rfile.read(length)
        self.whole = len(self.body) == length
        """Not where who sent it was killed in the middle."""
        self.client: Any = handler.client_address

    @property
    def event(self) -> dict[str, Any]:
        """The structured event in it."""
        found: dict[str, Any] = json.loads(self.body)
        return found


class Webhook:
    """Listens on a port of its own. What was answered 2xx counts as received."""

    topic = "order"

    def __init__(self, certificate: Path | None = None) -> None:
        self.requests: list[Request] = []
        self.accepted: list[Request] = []
        self.script: Script = lambda _: 204
        self.answer_headers: dict[str, str] = {}
        self.late = 0.0
        """Seconds that an answer takes."""
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._scheme = "http"
        if certificate is not None:
            self._scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}/in?tenant=7"

    def everything(self) -> Sequence[Received]:
        return self.received(0)

    def received(self, count: int) -> Sequence[Received]:
        end = time.monotonic() + 10
        while len(self.accepted) < count and time.monotonic() < end:
            time.sleep(0.01)
        return [_received(request) for request in self.accepted]

    def take(self, request: Request) -> int | None:
        """The answer to a request; only one that is told, and taken, is received."""
        with self._lock:
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            status = self.script(request) if request.whole else None
        time.sleep(self.late)
        with self._lock:
            self._at_once -= 1
            if status is not None and 200 <= status < 300:
                self.accepted.append(request)
        return status

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what some tests are about."""


def _handler(webhook: Webhook) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            status = webhook.take(Request(self))
            if status is None:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in webhook.answer_headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler


def _received(request: Request) -> Received:
    event = request.event
    return Received(event["id"], event["subject"], json.dumps(event["data"]).encode(), request.headers)
