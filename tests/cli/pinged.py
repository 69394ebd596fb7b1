"""A web server that writes down who pinged it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Pinged:
    """`pings`: path and text, in their order; `status` is what it answers."""

    def __init__(self) -> None:
        self.pings: list[tuple[str, str]] = []
        self.status = 200
        self.url = ""

    @property
    def paths(self) -> list[str]:
        """Without the number of the run."""
        return [path.partition("rid=")[0].rstrip("?&") for path, _ in self.pings]

    @property
    def runs(self) -> list[str]:
        """The numbers of the runs."""
        return [path.partition("rid=")[2] for path, _ in self.pings]


@contextmanager
def pinged() -> Iterator[Pinged]:
    """It listens for as long as the block runs."""
    heard = Pinged()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            heard.pings.append((self.path, text))
            self.send_response(heard.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    heard.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
