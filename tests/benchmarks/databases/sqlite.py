"""SQLite: the template is a file, in WAL mode as a file that people are using meanwhile mostly is."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

_CREATE = """
CREATE TABLE events (
    id integer PRIMARY KEY, created_at text NOT NULL, status integer NOT NULL, score integer NOT NULL,
    payload text NOT NULL
)
"""
_FILL = """
WITH RECURSIVE g(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM g WHERE id < {rows})
INSERT INTO events
SELECT id, datetime('2024-01-01', id || ' seconds'), (id * 2654435761 >> 15) & 1, 0, hex(randomblob(40))
FROM g
"""


class SQLite:
    """The table in a file in `folder`."""

    name = "sqlite"
    rows = 1_000_000
    naive = "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE status = 1 ORDER BY id LIMIT {size})"
    snapshot: tuple[str, ...] = ("BEGIN", "SELECT id FROM events LIMIT 1")

    def __init__(self, folder: Path) -> None:
        self._template = folder / "template.db"
        self._copy = folder / "events.db"
        self.url = f"sqlite:///{self._copy}"

    def version(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}, journal_mode WAL"

    def fill(self, rows: int) -> None:
        self._template.unlink(missing_ok=True)
        with closing(sqlite3.connect(self._template)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(_CREATE)
            connection.execute(_FILL.format(rows=rows))
            connection.execute("ANALYZE")
            connection.commit()

    def renew(self) -> None:
        for left_over in self._copy.parent.glob("events.db*"):
            left_over.unlink()
        shutil.copyfile(self._template, self._copy)
        with self._copy.open("rb") as file:
            os.fsync(file.fileno())

    def connect(self) -> Any:
        return sqlite3.connect(self._copy)


@contextmanager
def opened() -> Iterator[SQLite]:
    """The table in a temporary folder, removed after the block."""
    with tempfile.TemporaryDirectory(prefix="batchops-bench-") as folder:
        yield SQLite(Path(folder))
