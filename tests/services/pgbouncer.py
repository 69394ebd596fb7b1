"""PgBouncer, the connection pooler, in front of a PostgreSQL server."""

import shutil
import signal
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from tests.services.private import Private, free_port, temporary_folder, unprivileged
from tests.services.server import UnavailableError

NAME = "pgbouncer"
CONFIG = """[databases]
{database} = host={host} port={port} dbname={database} user={user}{password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
ignore_startup_parameters = extra_float_digits
"""


def private(url: str, mode: str) -> Private:
    """A pooler of our own, ready to `start()`; its URL names the same database as the server's."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise UnavailableError("no pgbouncer on PATH")
    owner = unprivileged("postgres")
    folder, own, server = temporary_folder(owner), free_port(), make_url(url)
    file = folder / "pgbouncer.ini"
    password = f" password={server.password}" if server.password else ""
    of = {"database": server.database, "host": server.host, "port": server.port or 5432, "user": server.username}
    file.write_text(CONFIG.format(**of, password=password, own=own, mode=mode))
    if owner:
        shutil.chown(file, owner)
    argv: list[str | Path] = [program, file]
    name = f"postgresql://{server.username}@127.0.0.1:{own}/{server.database}"
    return Private(NAME, argv, folder, owner, name, version, signal.SIGKILL)


def version(url: str) -> str:
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            connection.execute("SELECT 1")
        return ""
    except psycopg.Error as error:
        raise UnavailableError(str(error)) from error
