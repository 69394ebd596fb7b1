"""NATS with JetStream: a server."""

import json
import shutil
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

from tests.services import container, server
from tests.services.private import Private, free_port, temporary_folder, unprivileged
from tests.services.server import Found, Server, UnavailableError

NAME = "nats"
IMAGE = "nats:2.10"


def find() -> Found:
    return server.find(NAME, "BATCHOPS_TEST_NATS_URL", version, _container, lambda: private().start())


def version(url: str) -> str:
    """What the server says of itself as soon as somebody connects."""
    at = urlsplit(url)
    try:
        with socket.create_connection((at.hostname, at.port or 4222), timeout=5) as link, link.makefile("rb") as file:
            told = json.loads(file.readline().removeprefix(b"INFO "))
    except (OSError, ValueError) as error:
        raise UnavailableError(str(error)) from error
    if not told.get("jetstream"):
        raise UnavailableError("it has no JetStream")
    return str(told["version"])


def private(config: str = "") -> Private:
    """A server of our own, ready to `start()`; `config` in its own words."""
    daemon = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin")
    if daemon is None:
        raise UnavailableError("no nats-server on PATH")
    owner = unprivileged("nats")
    folder, port = temporary_folder(owner), free_port()
    file = folder / "nats.conf"
    file.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder}/js" }}\n{config}\n')
    file.chmod(0o644)
    argv: list[str | Path] = [daemon, "-c", file]
    return Private(NAME, argv, folder, owner, f"nats://127.0.0.1:{port}", version, signal.SIGKILL)


def _container() -> Server:
    return container.start(NAME, IMAGE, 4222, {}, "-js", "nats://{host}:{port}", version)
