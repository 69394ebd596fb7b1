"""SQLite: no server, but a folder for the session's files."""

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from tests.services.private import memory
from tests.services.server import Found, Server

NAME = "sqlite"
FAMILY = "sqlite"
DRIVER = "sqlite"
park = rename = None
ROOM = 2**31
"""Octets that the tests' files may need together."""


def find() -> Found:
    # In memory, if there is room: the servers do not wait for a disk either, as their fsync is off.
    folder = tempfile.mkdtemp(prefix="batchops-", dir=memory(ROOM))
    return Server(NAME, sqlite3.sqlite_version, f"sqlite:///{folder}", "a file", lambda: shutil.rmtree(folder))


def address(at: Server, name: str) -> str:
    return f"{at.url}/{name}.db"


def path(url: str) -> Path:
    return Path(str(make_url(url).database))


def create(at: Server, name: str, template: str | None = None) -> None:
    """A new file, or a copy."""
    target = path(address(at, name))
    if template is None:
        target.touch()
    else:
        shutil.copyfile(path(address(at, template)), target)


def drop(at: Server, name: str) -> None:
    """The file and what SQLite keeps beside it."""
    target = path(address(at, name))
    for suffix in ("", "-wal", "-shm", "-journal"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)


def names(at: Server, prefix: str) -> list[str]:
    return [file.stem for file in path(at.url).glob(f"{prefix}*.db")]


def script(url: str, text: str) -> None:
    """Run statements as they are written, each by itself."""
    with closing(sqlite3.connect(path(url))) as connection:
        connection.executescript(text)
