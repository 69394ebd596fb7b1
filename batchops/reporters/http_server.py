"""A small web server for the health of a process and its metrics; it reads only the path of a request."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from batchops.errors import UsageError
from batchops.reporters import Warn
from batchops.runtime.threads import Threads, described

SLOWEST = 10
"""Seconds that a client may take to send its request."""


@dataclass(frozen=True)
class HttpResponse:
    """The answer to a request for a path."""

    status: int
    kind: str
    body: bytes


Routes = Mapping[str, Callable[[], HttpResponse]]


def place(text: str) -> tuple[str, int]:
    """Return the address and port of `9187` or `ADDRESS:9187`; without an address only this host can connect.

    ValueError says what is wrong with the text.
    """
    address, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f'"{text}" is not a port: write 9187, or 0.0.0.0:9187 to answer other machines')
    return address.strip("[]") or "127.0.0.1", int(port)


@contextmanager
def serving(at: tuple[str, int], answers: Routes, warn: Warn) -> Iterator[None]:
    """Answer requests at this address and port while the block runs; raise UsageError if the port is taken."""
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
        """Write nothing: it is normal that clients disconnect."""


def _handler(answers: Routes) -> type[BaseHTTPRequestHandler]:
    class RequestHandler(BaseHTTPRequestHandler):
        timeout = SLOWEST
        server_version, sys_version = "batchops", ""

        def do_GET(self) -> None:
            try:
                answer = answers.get(self.path.partition("?")[0], _nothing)()
            except Exception as error:  # noqa: BLE001  the client must see that something is wrong
                answer = HttpResponse(500, "text/plain; charset=utf-8", f"{described(error)}\n".encode())
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_HEAD = do_GET  # noqa: N815  http.server's name

        def log_message(self, format: str, *args: object) -> None:
            """Write nothing: each probe would be a line."""

    return RequestHandler


def _nothing() -> HttpResponse:
    return HttpResponse(404, "text/plain; charset=utf-8", b"not found\n")
