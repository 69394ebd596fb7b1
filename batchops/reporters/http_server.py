"""A small web server for machines that ask: health, figures. It reads nothing but the path."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from batchops.errors import UsageError
from batchops.reporters import Warn
from batchops.runtime.threads import Threads, described

SLOWEST = 10
"""Seconds that a client may take to ask."""


@dataclass(frozen=True)
class HttpResponse:
    """What a path answers."""

    status: int
    kind: str
    body: bytes


Routes = Mapping[str, Callable[[], HttpResponse]]


def place(text: str) -> tuple[str, int]:
    """`9187` or `ADDRESS:9187`; without an address only this machine may ask. ValueError says what is wrong."""
    address, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f'"{text}" is not a port: write 9187, or 0.0.0.0:9187 to answer other machines')
    return address.strip("[]") or "127.0.0.1", int(port)


@contextmanager
def serving(at: tuple[str, int], answers: Routes, warn: Warn) -> Iterator[None]:
    """Answer there for as long as the block runs; UsageError where the port is taken."""
    try:
        server = _Server(at, _handler(answers))
    except OSError as error:
        raise UsageError(f"Cannot listen on {at[0]}:{at[1]}: {error.strerror}.", "name another port.") from error
    where = f"http://{at[0]}:{at[1]}"
    threads = Threads(
        lambda error: warn(f"warning: {where} has stopped answering: {described(error)}. The run continues."), warn
    )
    threads.start("web", lambda: server.serve_forever(0.2))
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""


def _handler(answers: Routes) -> type[BaseHTTPRequestHandler]:
    class RequestHandler(BaseHTTPRequestHandler):
        timeout = SLOWEST
        server_version, sys_version = "batchops", ""

        def do_GET(self) -> None:
            try:
                answer = answers.get(self.path.partition("?")[0], _nothing)()
            except Exception as error:  # noqa: BLE001  the client is to see that something is wrong
                answer = HttpResponse(500, "text/plain; charset=utf-8", f"{described(error)}\n".encode())
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_HEAD = do_GET  # noqa: N815  http.server's name

        def log_message(self, format: str, *args: object) -> None:
            """Every probe would be a line."""

    return RequestHandler


def _nothing() -> HttpResponse:
    return HttpResponse(404, "text/plain; charset=utf-8", b"not found\n")
