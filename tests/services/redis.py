"""Redis: a server."""

import shutil
import signal
from pathlib import Path

import redis

from tests.services import container, server
from tests.services.private import Private, free_port, temporary_folder, unprivileged
from tests.services.server import Found, Server, UnavailableError

NAME = "redis"
IMAGE = "redis:7"


def find() -> Found:
    return server.find(NAME, "BATCHOPS_TEST_REDIS_URL", version, _container, lambda: private().start())


def version(url: str) -> str:
    try:
        with redis.Redis.from_url(url, socket_timeout=5) as client:
            return str(client.info("server")["redis_version"])
    except redis.RedisError as error:
        raise UnavailableError(str(error)) from error


def private(*settings: str) -> Private:
    """A server of our own, ready to `start()`; it keeps what it acknowledged over a kill."""
    daemon = shutil.which("redis-server")
    if daemon is None:
        raise UnavailableError("no redis-server on PATH")
    owner = unprivileged("redis")
    folder, port = temporary_folder(owner), free_port()
    net = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    durable = ["--save", "", "--appendonly", "yes", "--appendfsync", "no"]
    argv: list[str | Path] = [daemon, *net, *durable, *settings]
    return Private(NAME, argv, folder, owner, f"redis://127.0.0.1:{port}/0", version, signal.SIGKILL)


def _container() -> Server:
    return container.start(NAME, IMAGE, 6379, {}, "", "redis://{host}:{port}/0", version)
