"""Compares archived rows with their table: which are there too, with the same content or with other content."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from batchops.archive.column_match import Matched, key_text, match
from batchops.archive.contents import Contents, FoundSegment
from batchops.archive.destination import Destination
from batchops.db.database import Database
from batchops.db.exact_columns import ExactColumn
from batchops.db.lookup import find_table
from batchops.db.row_loading import with_same_keys
from batchops.db.table import Table
from batchops.errors import NotFoundError
from batchops.restore.found import key_of
from batchops.restore.source import ArchivedRows, Place, RowsAt
from batchops.restore.whole_rows import WholeRows
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
    by_key: bool = True
    """Whether rows were looked for by a key; else as whole rows, so that no row has other content."""
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
    with database.reading() as connection:
        columns = database.backend.exact_columns.columns(connection, table)
    if not all(key_of(table, one.table) for one in segments):
        for form in dict.fromkeys(one.table for one in segments):
            own = [one for one in segments if one.table == form]
            _compare_whole(database, destination, own, table, columns, found)
        return
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


def _compare_whole(
    database: Database, destination: Destination, segments: Sequence[FoundSegment], table: Table,
    columns: Sequence[ExactColumn], found: Both,
) -> None:  # fmt: skip
    """Compare segments of the same columns with a table of which no key tells one row from another."""
    loading = database.backend.row_loading
    matched, refusals = match(segments[0].table, table, columns, loading)
    refuse([one for one in refusals if one.check == "types"])
    with closing(WholeRows()) as rows:
        for segment in segments:
            with closing(ArchivedRows(destination, [segment], Place())) as source:
                while (block := source.take(BLOCK)) is not None:
                    found.rows += len(block.lines)
                    pairs, _ = matched.lines(block.lines)
                    rows.archived(((matched.comparable(loaded), loaded) for _, loaded in pairs), kept=segment.kept)
        with database.trying() as connection:
            loading.settle(connection)
            there = loading.lines(connection, table.clause, matched.targets, streamed=True)
            rows.there(map(matched.comparable, there))
        both = rows.together(NAMED - len(found.same_rows))
    found.same, found.kept, found.by_key = found.same + both.moved, found.kept + both.kept, False
    found.same_rows += [_name(matched, line, [one.name for one in matched.targets]) for line in both.lines]


def _name(matched: Matched, line: bytes, key: Sequence[str]) -> str:
    """Return the key of a row of the table as text for people."""
    fields = dict(zip((one.target.name for one in matched.columns), matched.comparable(line), strict=True))
    return key_text(key, [fields[name] for name in key])
