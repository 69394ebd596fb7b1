"""What rows without a parent, rows that a CHECK refuses, and rows that others refer to cost; PostgreSQL."""

from argparse import Namespace

from tests.benchmarks import printing, tool
from tests.benchmarks.databases import Database, Open
from tests.benchmarks.sides import Side, SideFailedError, Timing, say
from tests.benchmarks.speed import compared, renewed_with, statement

CHILDREN = 200_000
PARENTS = (100, 25_000, 40_000, 400_000, 5_000_000)
ORPHANS = "NOT EXISTS (SELECT 1 FROM parent WHERE parent.id = child.parent_id)"
PRICES = 400_000
HOPELESS = 1_000_000
INCOMPLETE = 3


def measure(opened: Open, wanted: Namespace) -> bool:
    """Print a table for each; False if a side failed."""
    with opened() as database:
        database.fill(10)
        fine = True
        for parents in PARENTS:
            fine &= _orphans(database, wanted, int(parents * wanted.scale) or 1)
        return fine & _bad_rows(database, wanted) & _hopeless(database, wanted)


def _orphans(database: Database, wanted: Namespace, parents: int) -> bool:
    children = int(CHILDREN * wanted.scale)
    say(f"orphans: {parents:,} parents")

    def renew() -> None:
        renewed_with(
            database,
            "CREATE TABLE parent AS SELECT i * 2 AS id, repeat('x', 50) AS x FROM generate_series(1::bigint, "
            f"{parents}) i; ALTER TABLE parent ADD PRIMARY KEY (id);"
            f"CREATE TABLE child AS SELECT i AS id, 1 + (i * 7) % ({parents} * 2) AS parent_id "
            f"FROM generate_series(1::bigint, {children}) i; ALTER TABLE child ADD PRIMARY KEY (id)",
        )

    one = Side("one DELETE", lambda: statement(database, f"DELETE FROM child WHERE {ORPHANS}"))
    purge = Side("purge", lambda: _timing(database, None, "purge", "child", "--where", ORPHANS))
    return compared(f"refused: {children:,} rows, {parents:,} parents", one, [purge], renew, wanted)


def _bad_rows(database: Database, wanted: Namespace) -> bool:
    rows = int(PRICES * wanted.scale)

    def renew() -> None:
        renewed_with(
            database,
            "CREATE TABLE clean AS SELECT i AS id, 100 AS cents FROM generate_series(1, " + f"{rows}) i;"
            "CREATE TABLE bad AS SELECT id, CASE WHEN id % 200 = 0 THEN 5 ELSE 100 END AS cents FROM clean;"
            + "".join(f"ALTER TABLE {t} ADD PRIMARY KEY (id), ADD CHECK (cents > 0);" for t in ("clean", "bad")),
        )

    def side(table: str, *more: str) -> Side:
        job = ("backfill", table, "--all-rows", "--set", "cents = cents - 10", "--max-rejected", str(rows), *more)
        return Side(table, lambda: _timing(database, rows, *job))

    return compared(
        f"refused: {rows:,} rows, one in 200 refused by a CHECK", side("clean"), [side("bad")], renew, wanted
    )


def _hopeless(database: Database, wanted: Namespace) -> bool:
    rows = int(HOPELESS * wanted.scale)
    renewed_with(
        database,
        f"CREATE TABLE prices AS SELECT i AS id, i AS cents FROM generate_series(1, {rows}) i;"
        "ALTER TABLE prices ADD PRIMARY KEY (id), ADD CHECK (cents > 0)",
    )
    printing.heading(f"refused: {database.version()}, a CHECK refuses each of {rows:,} rows")
    run = tool.ran("backfill", "prices", "--url", database.url, "--all-rows", "--set", "cents = -cents", exits=(3,))
    document = run.document
    printing.table(
        ("reason", "seconds", "rejected", ""),
        [
            (
                document["reason"],
                f"{document['seconds']:.2f}",
                f"{document['rejected']:,}",
                f"{document['batches']} batches",
            )
        ],
    )
    return bool(document["reason"] == "max-rejected")


def _timing(database: Database, rows: int | None, verb: str, table: str, *options: str) -> Timing:
    run = tool.ran(verb, table, "--url", database.url, *options, exits=(0, INCOMPLETE))
    if run.document["reason"] not in ("done", "incomplete"):
        raise SideFailedError(str(run.document["reason"]))
    return Timing(run.document["seconds"], rows or run.document["rows"], f"{run.document['batches']} batches")
