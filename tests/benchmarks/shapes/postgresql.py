"""PostgreSQL's shapes: every kind of index, none, other tables, sparse and dense."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg

from tests.benchmarks import servers
from tests.benchmarks.databases.postgresql import COPY, TEMPLATE, PostgreSQL
from tests.benchmarks.shapes.shape import Shape

BASE = "batchops_bench_base"

_FILL = """
CREATE FUNCTION h(n bigint, salt bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN hashint8extended(n, salt) & 1073741823;
CREATE TABLE events AS
SELECT g AS id, (h(g, 1) % 10)::int AS tenant, timestamptz '2024-01-01' + g * interval '1 second' AS created_at,
       (ARRAY['failed', 'done', 'new', 'new', 'active', 'active', 'active', 'active', 'active', 'active'])[h(g, 2)
         % 10 + 1] AS status,
       CASE WHEN h(g, 3) % 10 = 0 THEN timestamptz '2024-06-01' + g * interval '1 second' END AS deleted_at,
       (h(g, 4) & 1)::int AS kind, (h(g, 5) % 50000)::int AS customer, (h(g, 6) % 10000)::int AS score,
       CASE WHEN g % ({rows} / 10) = 5 THEN 7 ELSE 0 END AS rare,
       jsonb_build_object('source', CASE WHEN h(g, 7) % 10 = 0 THEN 'import' ELSE 'web' END, 'n', g) AS attrs,
       ARRAY[h(g, 8) % 100, h(g, 9) % 100]::int[] AS tags, 'User' || g || '@example.org' AS email,
       left(repeat(md5(g::text), 3), 80) AS payload
FROM generate_series(1::bigint, {rows}) AS g;
ALTER TABLE events ALTER id SET NOT NULL, ALTER tenant SET NOT NULL, ALTER created_at SET NOT NULL;
CREATE TABLE customers AS SELECT c::int AS id FROM generate_series(0, 49999) c WHERE h(c, 10) % 10 <> 0;
ALTER TABLE customers ADD PRIMARY KEY (id);
CREATE TABLE listed AS SELECT id FROM events WHERE h(id, 11) % 10 = 0;
ALTER TABLE listed ADD PRIMARY KEY (id);
"""
KEY = "ALTER TABLE events ADD PRIMARY KEY (id)"


def _index(columns: str, using: str = "") -> str:
    return f"CREATE INDEX ON events {using} {columns}"


def _at(share: float, rows: int) -> str:
    return f"timestamptz '2024-01-01' + interval '{int(share * rows)} seconds'"


def shapes(rows: int) -> tuple[Shape, ...]:
    """Those for a table of so many rows."""
    return (
        Shape("soft-deleted, partial index", "deleted_at IS NOT NULL",
              (KEY, _index("(deleted_at) WHERE deleted_at IS NOT NULL"))),
        Shape("one status of few, index", "status = 'failed'", (KEY, _index("(status)"))),
        Shape("jsonb, GIN", """attrs @> '{"source": "import"}'""",
              (KEY, _index("(attrs jsonb_path_ops)", "USING gin"))),
        Shape("ids from a list table", "id IN (SELECT id FROM listed)", (KEY,)),
        Shape("either of two indexes", "customer < 2000 OR score < 500",
              (KEY, _index("(customer)"), _index("(score)"))),
        Shape("ten rows, no index", "rare = 7", (KEY,)),
        Shape("ten rows, beside one scan", "rare = 7", (KEY,),
              beside="SELECT count(*) FROM events WHERE rare = 7 HAVING count(*) = 10"),
        Shape("older than, index", f"created_at < {_at(0.3, rows)}", (KEY, _index("(created_at)"))),
        Shape("prefix of a composite key", "tenant = 3", ("ALTER TABLE events ADD PRIMARY KEY (tenant, id)",)),
        Shape("orphans, NOT EXISTS", "NOT EXISTS (SELECT 1 FROM customers c WHERE c.id = customer)", (KEY,)),
        Shape("half, no index", "kind = 1", (KEY,)),
        Shape("half, by the table itself", "id IN (SELECT e.id FROM events e WHERE e.kind = 1)", (KEY,)),
        Shape("every row", "1 = 1", (KEY,)),
        Shape("orphans, NOT IN", "customer NOT IN (SELECT id FROM customers)", (KEY,)),
        Shape("orphans, index on the child", "NOT EXISTS (SELECT 1 FROM customers c WHERE c.id = customer)",
              (KEY, _index("(customer)"))),
        Shape("children of some parents", "customer IN (SELECT id FROM customers WHERE id % 50 = 1)",
              (KEY, _index("(customer)"))),
        Shape("older than, no index", f"created_at < {_at(0.3, rows)}", (KEY,)),
        Shape("older than, BRIN", f"created_at < {_at(0.3, rows)}", (KEY, _index("(created_at)", "USING brin"))),
        Shape("newest tenth, index", f"created_at >= {_at(0.9, rows)}", (KEY, _index("(created_at)"))),
        Shape("a stretch in the middle, key", f"id BETWEEN {int(rows * .4)} AND {int(rows * .5)}", (KEY,)),
        Shape("one in a hundred, index", "score < 100", (KEY, _index("(score)"))),
        Shape("one in a hundred, no index", "score < 100", (KEY,)),
        Shape("one in a thousand, index", "score < 10", (KEY, _index("(score)"))),
        Shape("two columns of one index", f"status = 'done' AND created_at < {_at(0.5, rows)}",
              (KEY, _index("(status, created_at)"))),
        Shape("status and age, index on one", f"status = 'done' AND created_at < {_at(0.5, rows)}",
              (KEY, _index("(status)"))),
        Shape("array overlap, GIN", "tags && ARRAY[3, 17, 42]", (KEY, _index("(tags)", "USING gin"))),
        Shape("expression index", "lower(email) LIKE 'user12%'", (KEY, _index("(lower(email) text_pattern_ops)"))),
        Shape("no NULL, index", "deleted_at < '2024-06-02'", (KEY, _index("(deleted_at)"))),
        Shape("function of the key", "id % 7 = 3", (KEY,)),
        Shape("nine in ten, no index", "score >= 1000", (KEY,)),
        Shape("no key", "status = 'failed'", (_index("(status)"),)),
        Shape("backfill of 1 %, index", "score < 100", (KEY, _index("(score)")), set="kind = 5",
              done="score < 100 AND kind <> 5"),
        Shape("backfill of half, no index", "kind = 1", (KEY,), set="kind = 5", done="kind = 1"),
    )  # fmt: skip


class ShapedPostgreSQL(PostgreSQL):
    """The table of each shape in a template database of its own time."""

    rows = 500_000
    shapes: tuple[Shape, ...] = shapes(rows)

    def base(self, rows: int) -> None:
        self.shapes = shapes(rows)
        self.remove()
        with closing(self._administer()) as connection:
            connection.execute(f"CREATE DATABASE {BASE}")
        with closing(psycopg.connect(self._url_of(BASE), autocommit=True)) as connection:
            connection.execute(_FILL.format(rows=rows))

    def shape(self, shape: Shape) -> None:
        with closing(self._administer()) as connection:
            for name in (COPY, TEMPLATE):
                connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE {BASE}")
        with closing(psycopg.connect(self._url_of(TEMPLATE), autocommit=True)) as connection:
            for one in shape.made:
                connection.execute(one.encode())
            connection.execute("VACUUM (ANALYZE)")

    def remove(self) -> None:
        super().remove()
        with closing(self._administer()) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {BASE} WITH (FORCE)")


@contextmanager
def opened(url: str | None) -> Iterator[ShapedPostgreSQL]:
    """The tables on the server at `url`, else on a private one; removed after the block."""
    with servers.postgresql(url) as server_url:
        database = ShapedPostgreSQL(server_url)
        try:
            yield database
        finally:
            database.remove()
