"""A large table each of whose rows is known by its id, and what is wrong with it and its archive together."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tests.bulk.plan.situations import numbers
from tests.services.database import Database

WHERE = "kind < 6"
COLUMNS = "id, kind, touched, words"
TYPES = "id integer NOT NULL PRIMARY KEY, kind integer NOT NULL, touched integer NOT NULL, words varchar(60)"
_WORDS = {"mysql": "concat('row ', i * 7, ', of many')"}


def make(database: Database, rows: int) -> None:
    """`t`; six of seven rows match WHERE."""
    words = _WORDS.get(database.backend, "'row ' || (i * 7) || ', of many'")
    database.script(f"CREATE TABLE t ({TYPES})")
    database.execute(f"INSERT INTO t SELECT i, i % 7, 0, {words} FROM {numbers(database, rows)}")


def line(row: int) -> bytes:
    """The text of a row."""
    return b"%d\t%d\t0\trow %d, of many" % (row, row % 7, row * 7)


def lines(database: Database, table: str) -> list[bytes]:
    """The text of each row of a table."""
    return ["\t".join(map(str, row)).encode() for row in database.rows(f"SELECT {COLUMNS} FROM {table}")]


@dataclass(frozen=True)
class Compared:
    """The rows of table and archive, compared with those that there were."""

    lost: int
    """In neither of the two."""
    changed: int
    """In one of the two, with other content than they had."""
    twice: int
    """More than once in the archive."""
    double: int
    """In both."""
    left: int
    """In the table, though they match."""


def compared(rows: int, there: Iterable[bytes], archived: Counter[bytes]) -> Compared:
    """`there`: the lines of the table."""
    every, stay = {line(row) for row in range(1, rows + 1)}, Counter(there)
    wrong = [one for one in (*stay, *archived) if one not in every]
    twice = sum(1 for times in (*archived.values(), *stay.values()) if times > 1)
    matching = sum(1 for one in stay if int(one.split(b"\t")[1]) < 6)
    return Compared(len(every - stay.keys() - archived.keys()), len(wrong), twice, len(stay & archived), matching)
