"""SQLite's shapes."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.benchmarks.databases.sqlite import SQLite
from tests.benchmarks.shapes.shape import Shape

_TABLE = """
CREATE TABLE events (
    id integer {id}, tenant integer NOT NULL, created_at text NOT NULL, status text NOT NULL, deleted_at text,
    kind integer NOT NULL, customer integer NOT NULL, score integer NOT NULL, rare integer NOT NULL,
    payload text NOT NULL{key}
) {options}
"""
_FILL = """
WITH RECURSIVE g(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM g WHERE id < {rows}),
h(id, a, b, c, d, e, f) AS (
    SELECT id, abs(random()) % 10, abs(random()) % 10, abs(random()) % 10, abs(random()) % 2, abs(random()) % 50000,
           abs(random()) % 10000 FROM g)
INSERT INTO base
SELECT id, a, datetime('2024-01-01', id || ' seconds'),
       CASE b WHEN 0 THEN 'failed' WHEN 1 THEN 'done' WHEN 2 THEN 'new' ELSE 'active' END,
       CASE c WHEN 0 THEN datetime('2024-06-01', id || ' seconds') END, d, e, f,
       CASE WHEN id % ({rows} / 10) = 5 THEN 7 ELSE 0 END, hex(randomblob(40))
FROM h
"""
_OTHERS = """
CREATE TABLE customers (id integer PRIMARY KEY);
WITH RECURSIVE g(id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM g WHERE id < 49999)
INSERT INTO customers SELECT id FROM g WHERE abs(random()) % 10 <> 0;
CREATE TABLE listed (id integer PRIMARY KEY);
INSERT INTO listed SELECT id FROM base WHERE abs(random()) % 10 = 0;
"""
PLAIN = _TABLE.format(id="PRIMARY KEY", key="", options="")
COMPOSITE = _TABLE.format(id="NOT NULL", key=", PRIMARY KEY (tenant, id)", options="WITHOUT ROWID")


def _index(columns: str) -> str:
    return f"CREATE INDEX events_{''.join(filter(str.isalnum, columns))} ON events {columns}"


def _at(share: float, rows: int) -> str:
    return f"datetime('2024-01-01', '{int(share * rows)} seconds')"


def shapes(rows: int) -> tuple[Shape, ...]:
    """Those for a table of so many rows."""
    return (
        Shape("soft-deleted, partial index", "deleted_at IS NOT NULL",
              (PLAIN, _index("(deleted_at) WHERE deleted_at IS NOT NULL"))),
        Shape("one status of few, index", "status = 'failed'", (PLAIN, _index("(status)"))),
        Shape("ids from a list table", "id IN (SELECT id FROM listed)", (PLAIN,)),
        Shape("either of two indexes", "customer < 2000 OR score < 500",
              (PLAIN, _index("(customer)"), _index("(score)"))),
        Shape("ten rows, no index", "rare = 7", (PLAIN,)),
        Shape("older than, index", f"created_at < {_at(0.3, rows)}", (PLAIN, _index("(created_at)"))),
        Shape("prefix of a composite key", "tenant = 3", (COMPOSITE,)),
        Shape("orphans, NOT EXISTS", "NOT EXISTS (SELECT 1 FROM customers c WHERE c.id = customer)", (PLAIN,)),
        Shape("half, no index", "kind = 1", (PLAIN,)),
        Shape("half, by the table itself", "id IN (SELECT e.id FROM events e WHERE e.kind = 1)", (PLAIN,)),
        Shape("every row", "1 = 1", (PLAIN,)),
        Shape("newest tenth, index", f"created_at >= {_at(0.9, rows)}", (PLAIN, _index("(created_at)"))),
        Shape("one in a hundred, index", "score < 100", (PLAIN, _index("(score)"))),
        Shape("one in a hundred, no index", "score < 100", (PLAIN,)),
        Shape("children of some parents", "customer IN (SELECT id FROM customers WHERE id % 50 = 1)",
              (PLAIN, _index("(customer)"))),
        Shape("backfill of 1 %, index", "score < 100", (PLAIN, _index("(score)")), set="kind = 5",
              done="score < 100 AND kind <> 5"),
        Shape("backfill of half, no index", "kind = 1", (PLAIN,), set="kind = 5", done="kind = 1"),
    )  # fmt: skip


class ShapedSQLite(SQLite):
    """The table of each shape in a template file."""

    rows = 300_000
    shapes: tuple[Shape, ...] = shapes(rows)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._base = folder / "base.db"

    def base(self, rows: int) -> None:
        self.shapes = shapes(rows)
        self._base.unlink(missing_ok=True)
        with closing(sqlite3.connect(self._base)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(PLAIN.replace("TABLE events", "TABLE base").replace("PRIMARY KEY", "NOT NULL"))
            connection.execute(_FILL.format(rows=rows))
            connection.executescript(_OTHERS)
            connection.commit()

    def shape(self, shape: Shape) -> None:
        shutil.copyfile(self._base, self._template)
        with closing(sqlite3.connect(self._template, isolation_level=None)) as connection:
            table, *indexes = shape.made
            connection.execute(table)
            connection.execute("INSERT INTO events SELECT * FROM base ORDER BY id")
            for one in ("DROP TABLE base", *indexes, "VACUUM", "ANALYZE"):
                connection.execute(one)


@contextmanager
def opened() -> Iterator[ShapedSQLite]:
    """The tables in a temporary folder, removed after the block."""
    with tempfile.TemporaryDirectory(prefix="batchops-bench-") as folder:
        yield ShapedSQLite(Path(folder))
