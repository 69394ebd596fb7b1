"""MariaDB (or a MySQL, by URL): a server, and databases copied from templates."""

import shutil
import signal
from pathlib import Path
from typing import Any

import pymysql
from pymysql.constants import CLIENT
from sqlalchemy import make_url

from tests.services import container, server
from tests.services.private import ROOM, Private, free_port, run, temporary_folder, unprivileged
from tests.services.server import Found, Server, UnavailableError

NAME = "mariadb"
FAMILY = "mysql"
DRIVER = "mysql+pymysql"
park = rename = None
IMAGE = "mariadb:10.11"
PASSWORD = "tell-no-one"
PLAIN = {"ssl_disabled": True}
"""Without TLS: preparing it, needed or not, would cost the driver more than most statements of a test."""
SETTINGS = [
    "--innodb-flush-method=nosync",
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-buffer-pool-size=256M",
    "--max-connections=200",
    "--skip-name-resolve",
    "--local-infile=1",
    "--max-allowed-packet=64M",  # for an event that is too large for every broker
]


def find() -> Found:
    return server.find(NAME, "BATCHOPS_TEST_MARIADB_URL", version, _container, lambda: private().start())


def connect(url: str, **more: Any) -> pymysql.Connection:
    at = make_url(url)
    return pymysql.connect(
        host=at.host or "127.0.0.1",
        port=at.port or 3306,
        user=at.username,
        password=at.password or "",
        database=at.database or None,
        charset="utf8mb4",
        **(PLAIN | more),
    )


def version(url: str) -> str:
    try:
        with connect(url, connect_timeout=5) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            (full,) = cursor.fetchone() or ("",)
            return "-".join(str(full).split("-")[:2])
    except pymysql.Error as error:
        raise UnavailableError(str(error.args[-1])) from error


def private(*, on_disk: bool = False) -> Private:
    """A server of our own, ready to `start()`; its files are in memory if there is room, or else `on_disk`.

    A database has hundreds of files: on a disk, to make and remove them takes a tenth of the time of all tests.
    """
    daemon, install = _binary("mariadbd", "mysqld"), _binary("mariadb-install-db", "mysql_install_db")
    owner = unprivileged("mysql")
    folder = temporary_folder(owner, room=None if on_disk else ROOM)
    port, data, first = free_port(), folder / "data", folder / "first.sql"
    # root@127.0.0.1 exists and would win over root@'%'; it must not stay without a password.
    who = "root@127.0.0.1"
    first.write_text(
        f"CREATE OR REPLACE USER {who} IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO {who} WITH GRANT OPTION;\n"
    )
    first.chmod(0o644)
    plain = ["--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-flush-method=nosync"]
    try:
        run([install, "--no-defaults", f"--datadir={data}", *plain], folder, owner)
    except UnavailableError:
        shutil.rmtree(folder)
        raise
    places = [f"--datadir={data}", f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}"]
    net = ["--bind-address=127.0.0.1", f"--port={port}", f"--init-file={first}"]
    url = f"mysql://root:{PASSWORD}@127.0.0.1:{port}/"
    argv: list[str | Path] = [daemon, "--no-defaults", *places, *net, *SETTINGS]
    return Private(NAME, argv, folder, owner, url, version, signal.SIGKILL)


def _binary(*names: str) -> Path:
    for name in names:
        # sbin is not on everybody's PATH
        if found := shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/libexec"):
            return Path(found)
    raise UnavailableError(f"no {names[0]} on PATH")


def _container() -> Server:
    url = f"mysql://root:{PASSWORD}@{{host}}:{{port}}/"
    return container.start(NAME, IMAGE, 3306, {"MARIADB_ROOT_PASSWORD": PASSWORD}, " ".join(SETTINGS), url, version)


def address(at: Server, name: str) -> str:
    return make_url(at.url).set(database=name).render_as_string(hide_password=False)


def create(at: Server, name: str, template: str | None = None) -> None:
    """A new database; of a template it gets tables, rows, keys and indexes; no triggers, no foreign keys."""
    with connect(at.url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        if template is None:
            return
        cursor.execute(f"SHOW TABLES FROM `{template}`")
        for (table,) in cursor.fetchall():
            cursor.execute(f"CREATE TABLE `{name}`.`{table}` LIKE `{template}`.`{table}`")
            cursor.execute(f"INSERT INTO `{name}`.`{table}` SELECT * FROM `{template}`.`{table}`")
            cursor.execute(f"ANALYZE TABLE `{name}`.`{table}`")


def drop(at: Server, name: str) -> None:
    """Drop it also when a killed command's session still holds locks there."""
    with connect(at.url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", [name])
        for (session,) in cursor.fetchall():
            try:
                cursor.execute(f"KILL {session}")
            except pymysql.err.OperationalError as error:
                if error.args[0] != 1094:  # it left by itself meanwhile
                    raise
        cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")


def names(at: Server, prefix: str) -> list[str]:
    with connect(at.url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE %s", [prefix + "%"])
        return [row[0] for row in cursor.fetchall()]


def script(url: str, text: str) -> None:
    """Run statements as they are written, each by itself; the server takes them apart, so no DELIMITER."""
    with (
        connect(url, autocommit=True, client_flag=CLIENT.MULTI_STATEMENTS) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(text)
        while cursor.nextset():
            pass
