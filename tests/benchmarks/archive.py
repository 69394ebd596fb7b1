"""`archive` beside loops by hand: rows returned, written and synced in as many batches; INSERT … SELECT and DELETE.

Also the shortest loop that moves rows to another table in as many batches; on PostgreSQL `restore` beside COPY.
"""

import os
import shutil
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

from tests.benchmarks import printing, tool
from tests.benchmarks.databases import HALF, Database, Open
from tests.benchmarks.databases.mariadb import MariaDB
from tests.benchmarks.sides import Side, SideFailedError, Timing, compare, say
from tests.benchmarks.speed import pt_archiver

_LIKE = {"mariadb": "LIKE events", "postgresql": "AS SELECT * FROM events WHERE 1 = 0"}
SIZES = {"postgresql": 500_000, "mariadb": 200_000, "sqlite": 200_000}


def measure(opened: Open, wanted: Namespace) -> bool:
    """Print two tables for a database: to files, and to another table; False if a side failed."""
    with opened() as database:
        rows = max(10_000, int(SIZES[database.name] * wanted.scale))
        say(f"archive: {database.name}, filling {rows:,} rows")
        database.fill(rows)
        size, fine = wanted.batch_size, True
        files = [Side(f"archive, {name}", partial(_archived, database, size, name)) for name in tool.FORMATS]
        loop = Side("loop by hand", lambda: _looped(database, size, rows))
        tables = [
            Side("archive, table", lambda: _moved(database, "--batch-size", str(size))),
            Side("archive, table, its own pace", lambda: _moved(database)),
        ]
        tables.append(Side("loop by hand", lambda: _moved_by_hand(database, size, rows)))
        both = Side("INSERT … SELECT + DELETE", lambda: _two_statements(database))
        pairs = [("files", loop, files), ("another table", both, tables)]
        if isinstance(database, MariaDB):
            one = Side("pt-archiver --file", lambda: _percona(database, size))
            bulk = Side("pt-archiver --file --bulk-delete", lambda: _percona(database, size, "--bulk-delete"))
            pairs.append(("files", one, [bulk, *files]))
        for title, first, sides in pairs:
            results = compare(first, sides, database.renew, wanted.pairs)
            printing.heading(f"archive: {database.version()}, {rows // 2:,} of {rows:,} rows to {title}")
            printing.comparison(results)
            fine &= not any(one.failure for one in results)
        return fine & (database.name != "postgresql" or _restores(database, wanted))


def _restores(database: Database, wanted: Namespace) -> bool:
    """The half that was archived, put back into an empty table by COPY and by `restore`, at its own pace."""
    with folder() as to:
        database.renew()
        rows = tool.archive(database, f"{to}/", "--format", "parquet").document["rows"]
        dump = to.with_name("dump")
        database.renew()
        with closing(database.connect()) as connection, dump.open("wb") as file:
            for line in _copied(connection, f"SELECT * FROM events WHERE {HALF}"):
                file.write(line)

        def empty() -> None:
            with closing(database.connect()) as connection:
                _run(connection, "DROP TABLE IF EXISTS events_back")
                _run(connection, "CREATE TABLE events_back (LIKE events INCLUDING ALL)")
                connection.commit()

        sides = [
            Side("restore, Parquet", lambda: tool.restore(database, f"{to}/", "events_back", "--restart").timing())
        ]
        results = compare(Side("COPY FROM STDIN", lambda: _loaded(database, dump, rows)), sides, empty, wanted.pairs)
        printing.heading(f"restore: {database.version()}, {rows:,} rows")
        printing.comparison(results)
        return not any(one.failure for one in results)


def _loaded(database: Database, dump: Path, rows: int) -> Timing:
    with closing(database.connect()) as connection, dump.open("rb") as file:
        begun = time.monotonic()
        with connection.cursor().copy("COPY events_back FROM STDIN") as copy:
            while part := file.read(1 << 20):
                copy.write(part)
        connection.commit()
        return Timing(time.monotonic() - begun, rows, "one transaction")


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


def _percona(database: MariaDB, size: int, *more: str) -> Timing:
    """Rows into a file that nobody waits for, without a look at what is in it."""
    with folder() as to:
        return pt_archiver(database, size, to=("--file", str(to), *more))


def _moved(database: Database, *options: str) -> Timing:
    _make_table(database)
    return tool.archive(database, "events_old", *options).timing()


def _make_table(database: Database) -> None:
    with closing(database.connect()) as connection:
        if database.name == "sqlite":
            (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'events'").fetchone()
            _run(connection, sql.replace("events", "events_old", 1))
        else:
            _run(connection, f"CREATE TABLE events_old {_LIKE[database.name]}")
        connection.commit()


def _two_statements(database: Database) -> Timing:
    _make_table(database)
    with closing(database.connect()) as connection:
        begun = time.monotonic()
        _run(connection, f"INSERT INTO events_old SELECT * FROM events WHERE {HALF}")
        rows = _run(connection, f"DELETE FROM events WHERE {HALF}")
        connection.commit()
        return Timing(time.monotonic() - begun, rows, "one transaction")


def _moved_by_hand(database: Database, size: int, rows: int) -> Timing:
    """Each range: INSERT and DELETE, COMMIT; nothing is checked or kept. On PostgreSQL by blocks, else by keys."""
    _make_table(database)
    with closing(database.connect()) as connection:
        if database.name != "postgresql":
            return _moved_by_keys(connection, size, rows)
        blocks = connection.execute("SELECT pg_relation_size('events') / 8192").fetchone()[0]
        step, begun, gone = max(1, blocks * 2 * size // rows), time.monotonic(), 0
        for low in range(0, blocks, step):
            delete = (
                f"DELETE FROM events WHERE ctid >= '({low},0)' AND ctid < '({low + step},0)' AND {HALF} RETURNING *"
            )
            gone += _run(connection, f"WITH gone AS ({delete}) INSERT INTO events_old SELECT * FROM gone")
            connection.commit()
        return Timing(time.monotonic() - begun, gone, f"{-(-blocks // step)} batches")


def _moved_by_keys(connection: Any, size: int, rows: int) -> Timing:
    begun, gone, batches = time.monotonic(), 0, 0
    for low in range(0, rows, 2 * size):
        window = f"id > {low} AND id <= {low + 2 * size} AND {HALF}"
        _run(connection, f"INSERT INTO events_old SELECT * FROM events WHERE {window}")
        gone += _run(connection, f"DELETE FROM events WHERE {window}")
        connection.commit()
        batches += 1
    return Timing(time.monotonic() - begun, gone, f"{batches} batches")


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
