"""Compares archived rows with their table: which are there too, with the same content or with other content."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from batchops.archive.column_match import Matched, match
from batchops.archive.contents import Contents, FoundSegment
from batchops.archive.destination import Destination
from batchops.db.database import Database
from batchops.db.lookup import find_table
from batchops.db.row_loading import with_same_keys
from batchops.db.table import Table
from batchops.errors import NotFoundError
from batchops.restore.found import key_of
from batchops.restore.source import ArchivedRows, Place, RowsAt
from batchops.runtime.refusal import refuse

BLOCK = 2_000
"""Rows that are compared at a time."""
NAMED = 10
"""The most rows of each kind whose keys are listed."""


@dataclass
class Both:
    """How many rows of one archived table are in the database too."""

    table: str
    rows: int = 0
    """Archived rows that were compared."""
    same: int = 0
    """Archived rows that are in the table too, with the same content."""
    other: int = 0
    """Archived rows whose keys are in the table, with other content."""
    kept: int = 0
    """Copied rows that stayed in the table, with the content that was copied."""
    changed: int = 0
    """Copied rows whose keys are in the table, with other content since."""
    same_rows: list[str] = field(default_factory=list)
    other_rows: list[str] = field(default_factory=list)
    """The keys of the first rows of `same` and of `other`."""
    problem: str = ""
    """Why the rows could not be compared; "" if they were."""


def compared(database: Database, destination: Destination, inside: Contents) -> Iterator[Both]:
    """Compare each archived table with the table of that name. The database stays unchanged."""
    for label in dict.fromkeys(one.table.label for one in inside.of()):
        found = Both(label)
        try:
            with database.reading() as connection:
                table = find_table(connection, database.backend, label)
        except NotFoundError:
            found.problem = "the database has no such table"
        else:
            segments = inside.of(label)
            _compare(database, destination, segments, [one.kept for one in segments], table, found)
        yield found


def _compare(
    database: Database, destination: Destination, segments: Sequence[FoundSegment], kept: Sequence[bool], table: Table,
    found: Both,
) -> None:  # fmt: skip
    if not all(key_of(table, one.table) for one in segments):
        found.problem = "the table has no key whose columns were archived"
        return
    with database.reading() as connection:
        columns = database.backend.exact_columns.columns(connection, table)
    with closing(ArchivedRows(destination, segments, Place())) as source:
        while (rows := source.take(BLOCK)) is not None:
            matched, refusals = match(rows.table, table, columns, database.backend.row_loading)
            refuse([one for one in refusals if one.check == "types"])
            kinds = ("kept", "changed") if kept[rows.after.segment] else ("same", "other")
            _compare_block(database, rows, matched, table, found, kinds)


def _compare_block(
    database: Database, rows: RowsAt, matched: Matched, table: Table, found: Both, kinds: tuple[str, str]
) -> None:  # fmt: skip
    loading, targets = database.backend.row_loading, matched.targets
    pairs, _ = matched.lines(rows.lines)
    key = key_of(table, rows.table)
    with database.trying() as connection:
        loading.settle(connection)
        staged = loading.stage(connection, table, targets)
        loading.load(connection, staged, targets, [loaded for _, loaded in pairs])
        there = with_same_keys(table, staged, key, targets)
        lines = [*loading.lines(connection, there.subquery("there"), targets)]
    archived = {matched.comparable(loaded): line for line, loaded in pairs}
    found.rows += len(rows.lines)
    for line in lines:
        as_archived = archived.get(matched.comparable(line))
        kind = kinds[as_archived is None]
        setattr(found, kind, getattr(found, kind) + 1)
        if kind not in ("same", "other"):
            continue
        names = found.other_rows if as_archived is None else found.same_rows
        if len(names) < NAMED:
            names.append(_name(matched, line, key))


def _name(matched: Matched, line: bytes, key: Sequence[str]) -> str:
    """Return the key of a row of the table as text for people."""
    fields = dict(zip((one.target.name for one in matched.columns), matched.comparable(line), strict=True))
    return ", ".join(f"{name}={(fields[name] or b'NULL').decode('utf-8', 'backslashreplace')}" for name in key)
