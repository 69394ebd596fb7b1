"""MariaDB: the template is a second table, copied in key order."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import pymysql

from tests.benchmarks import servers

SCHEMA = "batchops_bench"

_CREATE = """
CREATE TABLE template (
    id bigint PRIMARY KEY, created_at datetime NOT NULL, status int NOT NULL, score int NOT NULL,
    payload varchar(100) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
"""
_FILL = """
INSERT INTO template
SELECT seq, timestamp('2024-01-01') + INTERVAL seq SECOND, crc32(seq) & 1, 0, left(repeat(md5(seq), 3), 80)
FROM seq_1_to_{rows}
"""


class MariaDB:
    """The table in a schema of its own on the server at `server_url`."""

    name = "mariadb"
    rows = 500_000
    # LIMIT is not allowed directly inside IN (…); the derived table is the usual way round.
    naive = (
        "DELETE FROM events WHERE id IN (SELECT id FROM"
        " (SELECT id FROM events WHERE status = 1 ORDER BY id LIMIT {size}) AS part)"
    )
    snapshot: tuple[str, ...] = (
        "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        "SELECT id FROM events LIMIT 1",
    )

    kept: tuple[str, ...] = ("template",)
    """Tables that outlast each side; the tool's own do not."""

    def __init__(self, server_url: str) -> None:
        self._parts = urlsplit(server_url)
        self.url = self._parts._replace(path=f"/{SCHEMA}").geturl()

    def version(self) -> str:
        with closing(self._administer()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT version()")
            return f"MariaDB {cursor.fetchone()[0]}"

    def fill(self, rows: int) -> None:
        self.remove()
        with closing(self._administer()) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {SCHEMA}")
            cursor.execute(f"USE {SCHEMA}")
            cursor.execute(_CREATE)
            cursor.execute(_FILL.format(rows=rows))

    def renew(self) -> None:
        with closing(self._administer()) as connection, connection.cursor() as cursor:
            cursor.execute(f"USE {SCHEMA}")
            # The ledger's tables may refer to each other.
            cursor.execute("SET foreign_key_checks = 0")
            cursor.execute("SHOW TABLES")
            for (name,) in cursor.fetchall():
                if name not in self.kept:
                    cursor.execute(f"DROP TABLE `{name}`")
            cursor.execute("CREATE TABLE events LIKE template")
            cursor.execute("INSERT INTO events SELECT * FROM template ORDER BY id")
            cursor.execute("ANALYZE TABLE events")
            self._settle(cursor)

    def connect(self) -> Any:
        return self._connect(database=SCHEMA)

    def remove(self) -> None:
        """Leave nothing behind on a server that was given."""
        with closing(self._administer()) as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {SCHEMA}")

    def account(self) -> dict[str, Any]:
        """Host, port, user and password, for peers that take no URL."""
        parts = self._parts
        found = {"host": parts.hostname or "127.0.0.1", "port": parts.port or 3306}
        return found | {"user": unquote(parts.username or "root"), "password": unquote(parts.password or "")}

    def _settle(self, cursor: Any) -> None:
        """Wait until the purge threads have cleared the last side's undo, then write the table's pages."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            cursor.execute(
                "SELECT variable_value FROM information_schema.global_status"
                " WHERE variable_name = 'Innodb_history_list_length'"
            )
            if int(cursor.fetchone()[0]) < 100:
                break
            time.sleep(0.1)
        cursor.execute("FLUSH TABLES events FOR EXPORT")
        cursor.execute("UNLOCK TABLES")

    def _administer(self) -> Any:
        return self._connect(autocommit=True)

    def _connect(self, **options: Any) -> Any:
        return pymysql.connect(**self.account(), **options)


@contextmanager
def opened(url: str | None) -> Iterator[MariaDB]:
    """The table on the server at `url`, else on a private one; removed after the block."""
    with servers.mariadb(url) as server_url:
        database = MariaDB(server_url)
        try:
            yield database
        finally:
            database.remove()
