"""The strategies against one statement and against each other; PostgreSQL, where all of them exist."""

from argparse import Namespace
from contextlib import closing

from tests.benchmarks import printing, tool
from tests.benchmarks.databases import DELETE, HALF, Database, Open
from tests.benchmarks.sides import Side, SideFailedError, Timing, compare, say
from tests.benchmarks.speed import statement

FEW = "score < 100"
"""Matches one row in a hundred, by an index; see `_scatter`."""
ALONE = "SET max_parallel_workers_per_gather = 0"
TEN = "score = 1 AND status = 7"
"""Matches ten rows and has no index."""


def measure(opened: Open, wanted: Namespace) -> bool:
    """Print three tables; False if a side failed."""
    with opened() as database:
        rows = max(10_000, int(database.rows * wanted.scale))
        say(f"strategies: filling {rows:,} rows")
        database.fill(rows)
        fine = _half(database, wanted, rows)
        fine &= _few(database, wanted, rows)
        return fine & _ten(database, wanted, rows)


def _half(database: Database, wanted: Namespace, rows: int) -> bool:
    size = str(wanted.batch_size)
    one = Side("one DELETE", lambda: _statement(database, DELETE))
    sides = [
        _side(database, HALF, "--strategy", "block"),
        _side(database, HALF, "--strategy", "block", "--no-final-pass"),
        _side(database, HALF, "--strategy", "block", "--batch-size", size),
        _side(database, HALF, "--strategy", "key", "--batch-size", size),
    ]
    printing.heading(f"strategies: {database.version()}, {rows:,} rows, half match")
    compared = compare(one, sides, database.renew, wanted.pairs)
    printing.comparison(compared)
    lanes = compare(
        _side(database, HALF, "--no-final-pass"), [_side(database, HALF, "--no-final-pass", "--workers", "2")],
        database.renew, wanted.pairs,
    )  # fmt: skip
    printing.heading("two workers")
    printing.comparison(lanes)
    return not any(measured.failure for measured in (*compared, *lanes))


def _few(database: Database, wanted: Namespace, rows: int) -> bool:
    def renew() -> None:
        database.renew()
        _scatter(database)

    printing.heading(f"strategies: {database.version()}, {rows:,} rows, one in a hundred matches by an index")
    one = Side("one DELETE", lambda: _statement(database, f"DELETE FROM events WHERE {FEW}"))
    sides = [_side(database, FEW), _side(database, FEW, "--strategy", "key")]
    compared = compare(one, sides, renew, min(2, wanted.pairs))
    printing.comparison(compared)
    return not any(measured.failure for measured in compared)


def _ten(database: Database, wanted: Namespace, rows: int) -> bool:
    def renew() -> None:
        database.renew()
        with closing(database.connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(f"UPDATE events SET status = 7, score = 1 WHERE id % {rows // 10} = 5")
            connection.commit()

    printing.heading(f"strategies: {database.version()}, {rows:,} rows, ten match, no index")
    query = f"SELECT id FROM events WHERE {TEN}"
    # A DELETE, and a scan of a range of blocks, is always one process's.
    scan = Side("one sequential scan", lambda: Timing(_statement(database, f"{ALONE}; {query}").seconds, 10))
    parallel = Side("the same by several processes", lambda: Timing(_statement(database, query).seconds, 10))
    ten = [
        parallel,
        _side(database, TEN),
        _side(database, TEN, "--no-final-pass"),
        _side(database, TEN, "--strategy", "key"),
    ]
    compared = compare(scan, ten, renew, min(2, wanted.pairs))
    printing.comparison(compared)
    return not any(measured.failure for measured in compared)


def _scatter(database: Database) -> None:
    """`score` from 0 to 9,999 by a hash of the key, with an index."""
    with closing(database.connect()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("UPDATE events SET score = abs(hashint8(id)) % 10000")
        connection.commit()
        connection.autocommit = True
        cursor.execute("VACUUM FULL events")
        cursor.execute("CREATE INDEX events_score ON events (score)")
        cursor.execute("VACUUM ANALYZE events")
        cursor.execute("CHECKPOINT")


def _side(database: Database, where: str, *options: str) -> Side:
    def run() -> Timing:
        done = tool.purge_where(database, where, *options)
        left = _count(database, where)
        if left:
            raise SideFailedError(f"{left:,} rows were left")
        timing = done.timing()
        return Timing(timing.seconds, max(1, timing.rows), f"{timing.note}, {done.document['strategy']}")

    return Side(" ".join(["batchops purge", *options]), run)


def _statement(database: Database, sql: str) -> Timing:
    timing = statement(database, sql)
    return Timing(timing.seconds, max(1, timing.rows))


def _count(database: Database, where: str) -> int:
    with closing(database.connect()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(f"SELECT count(*) FROM events WHERE {where}")
        (found,) = cursor.fetchone()
        return int(found)
