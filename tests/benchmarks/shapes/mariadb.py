"""MariaDB's shapes."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from tests.benchmarks import servers
from tests.benchmarks.databases.mariadb import SCHEMA, MariaDB
from tests.benchmarks.shapes.shape import Shape

_CREATE = """
CREATE TABLE base (
    id bigint NOT NULL, tenant int NOT NULL, created_at datetime NOT NULL, status varchar(10) NOT NULL,
    deleted_at datetime, kind int NOT NULL, customer int NOT NULL, score int NOT NULL, rare int NOT NULL,
    payload varchar(100) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
"""
_FILL = """
INSERT INTO base
SELECT seq, crc32(seq) % 10, timestamp('2024-01-01') + INTERVAL seq SECOND,
       elt(crc32(concat('s', seq)) % 10 + 1, 'failed', 'done', 'new', 'new', 'active', 'active', 'active', 'active',
           'active', 'active'),
       if(crc32(concat('d', seq)) % 10 = 0, timestamp('2024-06-01') + INTERVAL seq SECOND, NULL),
       crc32(concat('k', seq)) & 1, crc32(concat('c', seq)) % 50000, crc32(concat('x', seq)) % 10000,
       if(seq % ({rows} DIV 10) = 5, 7, 0), left(repeat(md5(seq), 3), 80)
FROM seq_1_to_{rows}
"""
_OTHERS = (
    "CREATE TABLE customers (id int PRIMARY KEY)",
    "INSERT INTO customers SELECT seq FROM seq_0_to_49999 WHERE crc32(concat('p', seq)) % 10 <> 0",
    "CREATE TABLE listed (id bigint PRIMARY KEY)",
    "INSERT INTO listed SELECT id FROM base WHERE crc32(concat('l', id)) % 10 = 0",
    "ANALYZE TABLE customers, listed",
)
KEY = "ADD PRIMARY KEY (id)"


def _at(share: float, rows: int) -> str:
    return f"timestamp('2024-01-01') + INTERVAL {int(share * rows)} SECOND"


def shapes(rows: int) -> tuple[Shape, ...]:
    """Those for a table of so many rows; `made` are parts of one ALTER TABLE."""
    return (
        Shape("soft-deleted, index", "deleted_at IS NOT NULL", (KEY, "ADD INDEX (deleted_at)")),
        Shape("one status of few, index", "status = 'failed'", (KEY, "ADD INDEX (status)")),
        Shape("ids from a list table", "id IN (SELECT id FROM listed)", (KEY,)),
        Shape("either of two indexes", "customer < 2000 OR score < 500",
              (KEY, "ADD INDEX (customer)", "ADD INDEX (score)")),
        Shape("ten rows, no index", "rare = 7", (KEY,)),
        Shape("older than, index", f"created_at < {_at(0.3, rows)}", (KEY, "ADD INDEX (created_at)")),
        Shape("prefix of a composite key", "tenant = 3", ("ADD PRIMARY KEY (tenant, id)",)),
        Shape("orphans, NOT EXISTS", "NOT EXISTS (SELECT 1 FROM customers c WHERE c.id = customer)", (KEY,)),
        Shape("half, no index", "kind = 1", (KEY,)),
        Shape("half, by the table itself", "id IN (SELECT e.id FROM events e WHERE e.kind = 1)", (KEY,)),
        Shape("every row", "1 = 1", (KEY,)),
        Shape("newest tenth, index", f"created_at >= {_at(0.9, rows)}", (KEY, "ADD INDEX (created_at)")),
        Shape("one in a hundred, index", "score < 100", (KEY, "ADD INDEX (score)")),
        Shape("one in a hundred, no index", "score < 100", (KEY,)),
        Shape("children of some parents", "customer IN (SELECT id FROM customers WHERE id % 50 = 1)",
              (KEY, "ADD INDEX (customer)")),
        Shape("backfill of 1 %, index", "score < 100", (KEY, "ADD INDEX (score)"), set="kind = 5",
              done="score < 100 AND kind <> 5"),
        Shape("backfill of half, no index", "kind = 1", (KEY,), set="kind = 5", done="kind = 1"),
    )  # fmt: skip


class ShapedMariaDB(MariaDB):
    """The table of each shape is copied from a template with its indexes."""

    rows = 300_000
    shapes: tuple[Shape, ...] = shapes(rows)
    kept = ("template", "base", "customers", "listed")

    def base(self, rows: int) -> None:
        self.shapes = shapes(rows)
        self.remove()
        with closing(self._administer()) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {SCHEMA}")
            cursor.execute(f"USE {SCHEMA}")
            for one in (_CREATE, _FILL.format(rows=rows), *_OTHERS):
                cursor.execute(one)

    def shape(self, shape: Shape) -> None:
        with closing(self._administer()) as connection, connection.cursor() as cursor:
            cursor.execute(f"USE {SCHEMA}")
            cursor.execute("DROP TABLE IF EXISTS template")
            cursor.execute("CREATE TABLE template LIKE base")
            cursor.execute(f"ALTER TABLE template {', '.join(shape.made)}")
            cursor.execute("INSERT INTO template SELECT * FROM base ORDER BY id")


@contextmanager
def opened(url: str | None) -> Iterator[ShapedMariaDB]:
    """The tables on the server at `url`, else on a private one; removed after the block."""
    with servers.mariadb(url) as server_url:
        database = ShapedMariaDB(server_url)
        try:
            yield database
        finally:
            database.remove()
