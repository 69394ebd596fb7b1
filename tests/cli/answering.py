"""A web server that answers GET as the test says."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Service:
    """`answer` is its status and text; None: it says nothing."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] | None = 200, b""
        self.url = ""
        self.over = threading.Event()


@contextmanager
def answering() -> Iterator[Service]:
    """It listens for as long as the block runs."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if service.answer is None:
                service.over.wait()
                return
            status, text = service.answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            if 300 <= status < 400:
                self.send_header("Location", "http://elsewhere.example/hold?token=secret")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        service.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
