"""A partitioned table of a test, and whether table and archive together still have its rows."""

from pathlib import Path

from tests.command import here
from tests.services.database import Database

WHERE = "made < '2026-01-01'"
MONTHS = 3
"""Partitions of 2025 in which every row matches; one of 2026 follows."""
ROWS = 300
"""Rows of each partition."""


def make(database: Database, more: str = "") -> None:
    """`ev`, by months; `original` is a copy of it."""
    database.script(
        "CREATE TABLE ev (id bigint NOT NULL, made timestamptz NOT NULL, amount numeric, note text, "
        "PRIMARY KEY (id, made)) PARTITION BY RANGE (made);"
        + "".join(
            f"CREATE TABLE ev_{m} PARTITION OF ev FOR VALUES FROM ('2025-{m:02}-01') TO ('2025-{m + 1:02}-01');"
            for m in range(1, MONTHS + 1)
        )
        + "CREATE TABLE ev_next PARTITION OF ev FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');"
        + f"{more};"
        + f"INSERT INTO ev (id, made, amount, note) SELECT i, timestamptz '2025-01-01' + (i % {MONTHS}) * interval "
        "'1 month' + (i % 27) * interval '1 day', i / 7.0, CASE WHEN i % 3 = 0 THEN NULL ELSE repeat('w', 40) || i END "
        f"FROM generate_series(1, {MONTHS * ROWS}) i;"
        "INSERT INTO ev (id, made, amount, note) SELECT i, timestamptz '2026-01-02', i, NULL "
        f"FROM generate_series(100001, {100000 + ROWS}) i;"
        "CREATE TABLE original AS SELECT * FROM ev"
    )


def arguments(database: Database, folder: Path, *more: str) -> tuple[str, ...]:
    """The command line that archives the covered partitions, without a question."""
    to = ("--to", f"{folder}/", "--url", database.url, "-y", "--segment-size", "64KiB", "--drop-partitions")
    return ("archive", "ev", "--where", WHERE, *to, *more)


def partitions(database: Database) -> list[str]:
    """The attached partitions of `ev`."""
    return database.column(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'ev'::regclass ORDER BY 1"
    )


def tables(database: Database) -> list[str]:
    """All tables that are partitions of `ev`, or were."""
    return database.column("SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relname LIKE 'ev%' ORDER BY 1")


def wrong(database: Database, folder: str | Path) -> str | None:
    """What is wrong with table and archive together; None for nothing. The archive is restored into a new table."""
    verified = here("archive", "verify", folder)
    if verified.code:
        return str(verified)
    database.script("DROP TABLE IF EXISTS back; CREATE TABLE back (LIKE original)")
    restored = here("restore", folder, "--url", database.url, "--table", "ev", "--into", "back", "-y", "--restart")
    if restored.code:
        return str(restored)
    there = "SELECT * FROM ev UNION ALL SELECT * FROM back"
    lost = database.scalar(f"SELECT count(*) FROM (SELECT * FROM original EXCEPT ALL ({there})) x")
    more = database.scalar(f"SELECT count(*) FROM (({there}) EXCEPT ALL SELECT * FROM original) x")
    return f"{lost} lost, {more} too many" if lost or more else None
