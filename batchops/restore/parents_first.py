"""Orders archived rows of a table that refers to itself: each row comes after those that it refers to.

An archive holds them in the opposite order, since a row can be deleted only once no row refers to it.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import sqlalchemy as sa

from batchops.archive.records import ArchivedTable
from batchops.db.database import Database
from batchops.db.exact_text import fields_of, line_of
from batchops.db.table import Table
from batchops.errors import BatchopsError, TransientError

_CACHE = 32_768
"""KiB of the database in memory. The rest is in an unnamed file, which ends with the process."""
_STEPS = 100_000
"""How many of SQLite's own steps lie between two looks at whether to stop."""
BLOCK_ROWS = 2_000
BLOCK_BYTES = 4 << 20
_TABLES = f"""
PRAGMA journal_mode = off; PRAGMA synchronous = off; PRAGMA temp_store = file; PRAGMA cache_size = -{_CACHE};
CREATE TABLE archived (position integer PRIMARY KEY, source integer NOT NULL, line blob NOT NULL);
CREATE TABLE referred (reference integer, value blob, position integer);
CREATE TABLE referring (reference integer, value blob, position integer);
CREATE TABLE source (source integer PRIMARY KEY, last integer NOT NULL);
CREATE TABLE in_order (number integer PRIMARY KEY, position integer NOT NULL);
"""
_EDGES = """
CREATE INDEX by_value ON referred (reference, value);
CREATE TABLE edge (parent integer, child integer, PRIMARY KEY (parent, child)) WITHOUT ROWID;
INSERT OR IGNORE INTO edge SELECT r.position, c.position FROM referring c JOIN referred r USING (reference, value)
 WHERE r.position <> c.position;
DROP TABLE referred; DROP TABLE referring;
CREATE INDEX by_child ON edge (child);
CREATE TABLE placed (position integer PRIMARY KEY, level integer NOT NULL);
CREATE INDEX by_level ON placed (level);
INSERT INTO placed SELECT position, 0 FROM archived WHERE position NOT IN (SELECT child FROM edge);
"""
_NEXT_LEVEL = """
INSERT INTO placed SELECT DISTINCT e.child, :level + 1 FROM placed p JOIN edge e ON e.parent = p.position
 WHERE p.level = :level AND NOT EXISTS (
  SELECT 1 FROM edge o WHERE o.child = e.child AND o.parent NOT IN (SELECT position FROM placed)
 )
"""
_CIRCLES = (
    "INSERT INTO placed SELECT position, :level FROM archived WHERE position NOT IN (SELECT position FROM placed)"
)
_ORDER = """
INSERT INTO in_order (position) SELECT position FROM placed JOIN archived USING (position)
 JOIN source USING (source) ORDER BY last, level, iif(level = :circles, -position, position)
"""
_ROWS = """
SELECT source, line FROM in_order JOIN archived USING (position) WHERE number > ? ORDER BY number
"""


class OwnReference(NamedTuple):
    """A foreign key of a table to itself."""

    columns: tuple[str, ...]
    referred: tuple[str, ...]


class Source(NamedTuple):
    """The kind of rows: rows of one source are restored in one way."""

    table: ArchivedTable
    last: bool
    """Whether the rows come after all others, whatever refers to them."""


class Block(NamedTuple):
    """Rows of one source that follow each other in the order."""

    source: Source
    lines: list[bytes]
    ends: bool
    """Whether the next row is of another source, or there is none."""


Equal = Callable[[int, int, Sequence[bytes]], Sequence[bytes]]
"""Takes the number of a reference, the place of a column in it, and texts of its values; returns for each a text that
is the same for equal values."""


class ParentsFirst:
    """Orders rows in a temporary database. The same rows always get the same order.

    Rows that refer to each other in a circle, and rows that refer to those, come last, in reverse order. A reference to
    a row that is not archived does not count.
    """

    def __init__(
        self, references: Sequence[OwnReference], stopped: Callable[[], bool], equal: Equal = lambda *given: given[2]
    ) -> None:  # fmt: skip
        """Without `equal`, values are equal where their texts are."""
        self._references = references
        self._equal = equal
        self._stopped = stopped
        self._sources: list[Source] = []
        self.rows_read = 0
        """How many rows were read so far."""
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(_TABLES)

    def arrange(self, blocks: Iterable[tuple[Source, list[bytes]]]) -> None:
        """Read all rows and find their order. Raise TransientError if the run is asked to stop."""
        self._db.set_progress_handler(lambda: int(self._stopped()), _STEPS)
        with self._explained():
            for source, lines in blocks:
                self._check()
                self._add(source, lines)
            self._db.executescript(_EDGES)
            level = 0
            while self._db.execute(_NEXT_LEVEL, {"level": level}).rowcount:
                self._check()
                level += 1
            self._db.execute(_CIRCLES, {"level": level + 1})
            self._db.executemany("INSERT INTO source VALUES (?, ?)", enumerate(one.last for one in self._sources))
            self._db.execute(_ORDER, {"circles": level + 1})
        self._db.set_progress_handler(None, 0)

    def rows(self, behind: int) -> Iterator[Block]:
        """Yield the rows after the first `behind` ones, in blocks of one source."""
        with self._explained():
            lines: list[bytes] = []
            kind, room = -1, BLOCK_BYTES
            for number, line in self._db.execute(_ROWS, (behind,)):
                if lines and (number != kind or room <= 0 or len(lines) >= BLOCK_ROWS):
                    yield Block(self._sources[kind], lines, ends=number != kind)
                    lines, room = [], BLOCK_BYTES
                lines.append(line)
                kind, room = number, room - len(line)
            if lines:
                yield Block(self._sources[kind], lines, ends=True)

    def close(self) -> None:
        """Close the temporary database, which removes its file."""
        self._db.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Translate an error of the temporary file for people."""
        try:
            yield
        except sqlite3.Error as error:
            self._check()  # the error may be that a statement was interrupted
            raise BatchopsError(
                f"The temporary file that puts the rows in order cannot be used: {error}.",
                "it takes as much space as the rows do; TMPDIR names the folder.",
            ) from error

    def _check(self) -> None:
        if self._stopped():
            raise TransientError("The restore was stopped while it put rows in order.")

    def _add(self, source: Source, lines: Sequence[bytes]) -> None:
        if source not in self._sources:
            self._sources.append(source)
        number, start = self._sources.index(source), self.rows_read
        self.rows_read += len(lines)
        places = self._places(source.table)
        fields = [*map(fields_of, lines)] if places else []
        self._db.execute("BEGIN")
        own = ((start + n, number, line) for n, line in enumerate(lines))
        self._db.executemany("INSERT INTO archived VALUES (?, ?, ?)", own)
        for reference, columns, referred in places:
            for name, taken in (("referring", columns), ("referred", referred)):
                values = ((reference, value, start + n) for n, value in self._values(reference, fields, taken))
                self._db.executemany(f"INSERT INTO {name} VALUES (?, ?, ?)", values)
        self._db.execute("COMMIT")

    def _values(
        self, reference: int, fields: Sequence[Sequence[bytes | None]], places: Sequence[int]
    ) -> Iterator[tuple[int, bytes]]:  # fmt: skip
        """Yield the values at these places as one text, with the row's index; not those with a NULL, which refers to
        nothing."""
        filled = [n for n, row in enumerate(fields) if all(row[place] is not None for place in places)]
        columns = [
            self._equal(reference, i, [text for n in filled if (text := fields[n][place]) is not None])
            for i, place in enumerate(places)
        ]
        for n, values in zip(filled, zip(*columns, strict=True), strict=True):
            yield n, values[0] if len(values) == 1 else line_of(values)

    def _places(self, table: ArchivedTable) -> list[tuple[int, list[int], list[int]]]:
        """Return each reference whose columns were archived: its number, and the places of its columns in a line."""
        names = [column.name for column in table.columns]
        return [
            (number, [names.index(name) for name in one.columns], [names.index(name) for name in one.referred])
            for number, one in enumerate(self._references)
            if {*one.columns, *one.referred} <= {*names}
        ]


def own_references(connection: sa.Connection, database: Database, table: Table) -> tuple[OwnReference, ...]:
    """Return the enforced foreign keys of the table to itself."""
    own = (table.schema, table.name)
    keys = database.backend.foreign_keys.all(connection, (table.schema,))
    found = (OwnReference(one.columns, one.referred) for one in keys if one.child == one.parent == own and one.enforced)
    return tuple(dict.fromkeys(found))


def equal_in(database: Database, table: Table, references: Sequence[OwnReference]) -> Equal:
    """Return what tells equal values of the table's references, as its columns compare them."""

    def equal(reference: int, place: int, texts: Sequence[bytes]) -> Sequence[bytes]:
        name = references[reference].referred[place]
        with database.reading() as connection:
            return database.backend.row_loading.equal_texts(connection, table, name, texts)

    return equal
