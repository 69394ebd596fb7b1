"""A store that speaks S3's protocol: moto's server, which keeps everything in memory."""

import importlib.util
import signal
import sys
import urllib.error
import urllib.request
import uuid

from tests.services import server
from tests.services.private import Private, free_port, temporary_folder
from tests.services.server import Found, Server, UnavailableError

NAME = "s3"


def find() -> Found:
    return server.find(NAME, "BATCHOPS_TEST_S3_URL", version, lambda: private().start())


def version(url: str) -> str:
    """Whether it answers; a store tells no version of its own."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.headers.get("Server", "of its own"))
    except urllib.error.HTTPError as error:
        return str(error.headers.get("Server", "of its own"))
    except OSError as error:
        raise UnavailableError(str(error)) from error


def private() -> Private:
    """A server of our own, ready to `start()`."""
    for name, package in (("moto", "moto[server]"), ("flask", "moto[server]"), ("obstore", "obstore")):
        if importlib.util.find_spec(name) is None:
            raise UnavailableError(f"{package} is not installed")
    port, folder = free_port(), temporary_folder(None)
    argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    return Private(NAME, argv, folder, None, f"http://127.0.0.1:{port}", version, signal.SIGKILL)


def new_bucket(at: Server) -> str:
    """An empty one, by its name."""
    name = f"batchops-{uuid.uuid4().hex[:12]}"
    urllib.request.urlopen(urllib.request.Request(f"{at.url}/{name}", method="PUT"), timeout=30).close()
    return name
