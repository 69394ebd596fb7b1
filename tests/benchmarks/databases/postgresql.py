"""PostgreSQL: the template is a database, so that a copy is the same byte for byte."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests.benchmarks import servers

TEMPLATE, COPY = "batchops_bench_template", "batchops_bench"

_FILL = """
CREATE TABLE events AS
SELECT g AS id, timestamptz '2024-01-01' + g * interval '1 second' AS created_at,
       hashint8(g) & 1 AS status, 0 AS score, left(repeat(md5(g::text), 3), 80) AS payload
FROM generate_series(1::bigint, {rows}) AS g
"""


class PostgreSQL:
    """The table in a database of its own on the server at `server_url`."""

    name = "postgresql"
    rows = 4_000_000
    naive = "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE status = 1 ORDER BY id LIMIT {size})"
    snapshot: tuple[str, ...] = (
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        "SELECT count(*) FROM (SELECT 1 FROM events LIMIT 1) x",
    )

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self.url = self._url_of(COPY)

    def version(self) -> str:
        with closing(self._administer()) as connection:
            (number,) = connection.execute("SHOW server_version").fetchall()[0]
        return f"PostgreSQL {number.split()[0]}"

    def fill(self, rows: int) -> None:
        self.remove()
        with closing(self._administer()) as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE}")
        with closing(psycopg.connect(self._url_of(TEMPLATE), autocommit=True)) as connection:
            connection.execute(_FILL.format(rows=rows))
            connection.execute("ALTER TABLE events ADD PRIMARY KEY (id)")
            connection.execute("VACUUM ANALYZE events")

    def renew(self) -> None:
        with closing(self._administer()) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {COPY} WITH (FORCE)")
            # From 15 on the default writes the copy through the WAL, which leaves its dirt behind.
            strategy = "STRATEGY file_copy" if connection.info.server_version >= 150000 else ""
            connection.execute(f"CREATE DATABASE {COPY} TEMPLATE {TEMPLATE} {strategy}")
            connection.execute("CHECKPOINT")

    def connect(self) -> Any:
        return psycopg.connect(self.url)

    def remove(self) -> None:
        """Leave nothing behind on a server that was given."""
        with closing(self._administer()) as connection:
            for name in (COPY, TEMPLATE):
                connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _administer(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._server_url, autocommit=True)

    def _url_of(self, database: str) -> str:
        return urlsplit(self._server_url)._replace(path=f"/{database}").geturl()


@contextmanager
def opened(url: str | None) -> Iterator[PostgreSQL]:
    """The table on the server at `url`, else on a private one; removed after the block."""
    with servers.postgresql(url) as server_url:
        database = PostgreSQL(server_url)
        try:
            yield database
        finally:
            database.remove()
