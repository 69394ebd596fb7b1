"""`archive` beside loops by hand: rows returned, written and synced in as many batches; INSERT … SELECT and DELETE."""

import os
import shutil
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

from tests.benchmarks import printing, tool
from tests.benchmarks.databases import HALF, Database, Open
from tests.benchmarks.sides import Side, SideFailedError, Timing, compare, say

SIZES = {"postgresql": 500_000, "mariadb": 200_000, "sqlite": 200_000}


def measure(opened: Open, wanted: Namespace) -> bool:
    """Print two tables for a database: to files, and to another table; False if a side failed."""
    with opened() as database:
        rows = max(10_000, int(SIZES[database.name] * wanted.scale))
        say(f"archive: {database.name}, filling {rows:,} rows")
        database.fill(rows)
        size, fine = wanted.batch_size, True
        files = [Side(f"archive, {name}", lambda name=name: _archived(database, size, name)) for name in tool.FORMATS]
        loop = Side("loop by hand", lambda: _looped(database, size, rows))
        table = Side("archive, table", lambda: _moved(database, size))
        both = Side("INSERT … SELECT + DELETE", lambda: _two_statements(database))
        for title, first, sides in (("files", loop, files), ("another table", both, [table])):
            results = compare(first, sides, database.renew, wanted.pairs)
            printing.heading(f"archive: {database.version()}, {rows // 2:,} of {rows:,} rows to {title}")
            printing.comparison(results)
            fine &= not any(one.failure for one in results)
        return fine


@contextmanager
def folder() -> Iterator[Path]:
    """An empty one, beside the databases."""
    path = Path(tempfile.mkdtemp(prefix="batchops-archive-"))
    try:
        yield path / "to"
    finally:
        shutil.rmtree(path)


def _archived(database: Database, size: int, name: str) -> Timing:
    with folder() as to:
        run = tool.archive(database, f"{to}/", "--format", name, "--batch-size", str(size))
    timing = run.timing()
    return Timing(timing.seconds, timing.rows, f"{timing.note}, {run.peak_mb:.0f} MB")


def _moved(database: Database, size: int) -> Timing:
    _make_table(database)
    run = tool.archive(database, "events_old", "--batch-size", str(size))
    return run.timing()


def _make_table(database: Database) -> None:
    with closing(database.connect()) as connection:
        like = "LIKE events" if database.name == "mariadb" else "AS SELECT * FROM events WHERE 1 = 0"
        _run(connection, f"CREATE TABLE events_old {like}")
        connection.commit()


def _two_statements(database: Database) -> Timing:
    _make_table(database)
    with closing(database.connect()) as connection:
        begun = time.monotonic()
        _run(connection, f"INSERT INTO events_old SELECT * FROM events WHERE {HALF}")
        rows = _run(connection, f"DELETE FROM events WHERE {HALF}")
        connection.commit()
        return Timing(time.monotonic() - begun, rows, "one transaction")


def _run(connection: Any, sql: str) -> int:
    cursor = connection.cursor()
    cursor.execute(sql)
    count: int = cursor.rowcount
    cursor.close()
    return count


def _looped(database: Database, size: int, rows: int) -> Timing:
    """Each window of keys: DELETE … RETURNING, write, one hash a row, sync, COMMIT."""
    with folder() as to, closing(database.connect()) as connection:
        give: Callable[[Any, str], list[Any]] = _copied if database.name == "postgresql" else _returned
        begun, gone = time.monotonic(), 0
        with to.open("wb") as file:
            for low in range(0, rows, 2 * size):
                window = f"id > {low} AND id <= {low + 2 * size} AND {HALF}"
                lines = give(connection, f"DELETE FROM events WHERE {window} RETURNING *")
                _write(file, lines)
                connection.commit()
                gone += len(lines)
        if gone == 0:
            raise SideFailedError("the loop found no row")
        return Timing(time.monotonic() - begun, gone, f"{rows // (2 * size)} batches")


def _copied(connection: Any, delete: str) -> list[Any]:
    with connection.cursor().copy(f"COPY ({delete}) TO STDOUT") as copy:
        return [bytes(line) for line in copy]


def _returned(connection: Any, delete: str) -> list[Any]:
    cursor = connection.cursor()
    cursor.execute(delete)
    return ["\t".join(map(str, row)).encode() + b"\n" for row in cursor.fetchall()]


def _write(file: BinaryIO, lines: list[bytes]) -> None:
    for line in lines:
        blake2b(line, digest_size=16).digest()
    file.write(b"".join(lines))
    file.flush()
    os.fsync(file.fileno())
