"""A table whose every row tells how often it was touched, and what one statement would have made of it."""

from dataclasses import dataclass
from typing import Any

from tests.services.database import Database

ROWS = 4_000

_MAKE = {
    "postgresql": "INSERT INTO t SELECT i, i % 7, 0 FROM generate_series(1, {rows}) i",
    "mysql": "INSERT INTO t SELECT seq, seq % 7, 0 FROM seq_1_to_{rows}",
    "sqlite": "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {rows}) "
    "INSERT INTO t SELECT i, i % 7, 0 FROM c",
}


def make(database: Database, rows: int = ROWS) -> None:
    """`t`: kind says which rows match, touched counts how often each was updated."""
    database.script("CREATE TABLE t (id integer PRIMARY KEY, kind integer NOT NULL, touched integer NOT NULL)")
    database.execute(_MAKE[database.family].format(rows=rows))


@dataclass(frozen=True)
class Scenario:
    """A job, and whether the table is what one statement would have left."""

    verb: str
    arguments: tuple[str, ...]
    expected_rows: int

    def wrong(self, database: Database) -> str | None:
        """What is wrong with the table; None for nothing."""
        if self.verb == "purge":
            left = database.scalar("SELECT count(*) FROM t WHERE kind < 4")
            others = database.scalar("SELECT count(*) FROM t WHERE kind >= 4")
            if left or others != ROWS - self.expected_rows:
                return f"{left} rows left, {others} others"
            return None
        histogram: list[tuple[Any, ...]] = database.rows(
            "SELECT kind < 4, touched, count(*) FROM t GROUP BY kind < 4, touched"
        )
        found = {(bool(matching), touched): count for matching, touched, count in histogram}
        wanted = {(True, 1): self.expected_rows, (False, 0): ROWS - self.expected_rows}
        return None if found == wanted else f"(matching, touched) → rows: {found}"


MATCHING = sum(1 for i in range(1, ROWS + 1) if i % 7 < 4)
PURGE = Scenario("purge", ("t", "--where", "kind < 4"), MATCHING)
COUNT_UP = Scenario("backfill", ("t", "--where", "kind < 4", "--set", "touched = touched + 1"), MATCHING)
SCENARIOS = {"purge": PURGE, "backfill": COUNT_UP}
