"""Answers a SELECT over an archive: reads the segments of the tables that it names, once each is proved unchanged."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from batchops.archive.contents import Contents, FoundSegment, contents, refuse_damage
from batchops.archive.destination import Destination
from batchops.archive.in_use import reading
from batchops.archive.query.engine import Engine
from batchops.archive.query.readable import Readable, ReadableFile, directly_read, forms
from batchops.archive.query.tables import QueriedTable, tables_of
from batchops.archive.query.types import MIXED, TEXT, converted, kinds_in, literal, quoted, type_of, unmixed
from batchops.archive.query.unsealed import left_out
from batchops.archive.staging import StagingFolder
from batchops.db.exact_columns import ExactColumn
from batchops.errors import NotFoundError

Value = int | float | bool | str | None
"""A value of a result: whole numbers, floating-point numbers and booleans as such, all else as its exact text."""

_WHOLE = frozenset(
    ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT")
)
_CONVERT: dict[str, Callable[[str], Value]] = {
    **dict.fromkeys(_WHOLE, int), "FLOAT": float, "DOUBLE": float, "BOOLEAN": lambda text: text == "true",
}  # fmt: skip


@dataclass(frozen=True)
class ResultColumn:
    """A column of a result."""

    name: str
    type: str
    """Its type in DuckDB."""


@dataclass(frozen=True)
class QueryResult:
    """The result of a query; its rows can be read once."""

    columns: tuple[ResultColumn, ...]
    texts: Iterator[tuple[str | None, ...]]
    """The rows, each value as its exact text."""
    notes: tuple[str, ...]
    """What was left out, and what is text though its table has another type."""

    @property
    def rows(self) -> Iterator[tuple[Value, ...]]:
        """Yield the rows with their values."""
        ways = [_CONVERT.get(column.type) for column in self.columns]
        for row in self.texts:
            yield tuple(text if text is None or way is None else way(text) for way, text in zip(ways, row, strict=True))


@contextmanager
def query(
    destination: Destination, sql: str, run: int | None = None, seen: Callable[[FoundSegment], None] = lambda _: None
) -> Iterator[QueryResult]:  # fmt: skip
    """Yield the result of a SELECT over the archived tables; with `run`, over the rows of that run alone.

    `seen` is called with each segment before it is read. Raise UsageError for SQL that is no SELECT or that DuckDB
    refuses, IntegrityError for a segment that is not as it was archived.
    """
    with reading(destination):
        yield from _answered(destination, sql, run, seen)


def _answered(
    destination: Destination, sql: str, run: int | None, seen: Callable[[FoundSegment], None]
) -> Iterator[QueryResult]:  # fmt: skip
    inside = contents(destination)
    refuse_damage(destination, inside)
    tables = _tables(destination, inside, run)
    folder = StagingFolder()
    try:
        readable = directly_read(destination, [one for table in tables for one in table.segments])
        with closing(Engine(folder.path, readable)) as engine:
            select = engine.checked(sql)
            for table in tables:
                engine.define(f"CREATE SCHEMA IF NOT EXISTS {quoted(table.schema)}")
                engine.define(_unread(table))
            if not any(table.mixed and table.named_in(select) for table in tables):
                engine.columns(select)  # an error in the SQL is found before any file is read
            notes = [*left_out(destination, inside, run)]
            files = Readable(destination, folder.path)
            for table in tables:
                if table.named_in(select):
                    notes += _define(engine, table, files, seen)
            columns = tuple(ResultColumn(*one) for one in engine.columns(select))
            values = [_text(f"#{place}", column.type) for place, column in enumerate(columns, 1)]
            yield QueryResult(columns, engine.rows(select, values), tuple(notes))
    finally:
        folder.remove()


def _tables(destination: Destination, inside: Contents, run: int | None) -> list[QueriedTable]:
    segments = inside.of(run=run)
    if not segments:
        what = f"Run {run} has archived nothing" if run is not None else "No rows are archived"
        more = next(left_out(destination, inside, run), "see `batchops archive list`")
        raise NotFoundError(f"{what} in {destination.shown}.", f"{more}.")
    return tables_of(segments)


def _unread(table: QueriedTable) -> str:
    """Return the statement for a view that has the table's columns, and raises an error if its rows are read."""
    columns = ", ".join(f"CAST(NULL AS {type}) AS {quoted(name)}" for name, type in table.columns.values())
    message = literal(f"{table.label} was not read, as the query does not name it: write its name as it is")
    return f"CREATE VIEW {table.quoted} AS SELECT {columns} FROM range(1) WHERE CAST(error({message}) AS BOOLEAN)"


def _define(
    engine: Engine, table: QueriedTable, files: Readable, seen: Callable[[FoundSegment], None]
) -> list[str]:  # fmt: skip
    """Make the view of a table that the query names; return the notes on it."""
    found, decided = list[ReadableFile](), [one for one in table.segments if not one.undecided]
    for segment in decided:
        seen(segment)
        found += files.files([segment])
    texts = {
        column.name
        for file in found
        for _, column in file.columns
        if type_of(column) == TEXT and table.columns[column.name][1] != TEXT
    }
    types = {own: (name, TEXT if own in texts else type) for own, (name, type) in table.columns.items()}
    parts = [_part(types, columns, [str(path) for path in paths]) for columns, paths in forms(found).items()]
    nothing = ", ".join(f"CAST(NULL AS {type}) AS {quoted(name)}" for name, type in types.values())
    select = " UNION ALL ".join(parts) or f"SELECT {nothing} LIMIT 0"
    engine.define(f"CREATE OR REPLACE VIEW {table.quoted} AS {select}")
    mixed = [*_unmix(engine, table, select, [name for name, type in types.values() if type == MIXED])]
    more = "is text in this query: it has a value that its type cannot hold"
    return [*table.notes, *_copies(table), *(f"{table.label}.{name} {more}" for name in sorted(texts)), *mixed]


def _unmix(engine: Engine, table: QueriedTable, select: str, names: Sequence[str]) -> Iterator[str]:
    """Give columns of SQLite the type that all their values have; yield a note for each that keeps several."""
    values = []
    for name in names:
        ((*kinds,),) = engine.rows(f"SELECT {kinds_in(name)} FROM {table.quoted}", ["#1", "#2", "#3", "#4", "#5"])
        if (value := unmixed(name, [int(kind or 0) for kind in kinds])) is None:
            yield f"{table.label}.{name} has values of several types, a UNION with .integer, .real, .text and .blob"
        else:
            values.append(f"{value} AS {quoted(name)}")
    if values:
        engine.define(
            f"CREATE OR REPLACE VIEW {table.quoted} AS SELECT * REPLACE ({', '.join(values)}) FROM ({select}) AS mixed"
        )


def _copies(table: QueriedTable) -> Iterator[str]:
    """Yield the note that rows may be there more than once."""
    copies = sorted({one.run for one in table.segments if one.kept})
    if copies and len({one.run for one in table.segments}) > 1:
        names = ", ".join(map(str, copies))
        yield f"{table.label} was copied by --keep in run {names}: other runs may hold the same rows; --run N reads one"


def _part(
    types: dict[str, tuple[str, str]], columns: Sequence[tuple[str, ExactColumn]], paths: Sequence[str]
) -> str:  # fmt: skip
    """Return the SELECT of the rows in files with the same columns, with all columns of the view."""
    held = {column.name: (name, column) for name, column in columns}
    values = []
    for own, (name, type) in types.items():
        value = f"CAST(NULL AS {type})"
        if own in held:
            value = converted(quoted(held[own][0]), held[own][1], type)
        values.append(f"{value} AS {quoted(name)}")
    listed = ", ".join(map(literal, paths))
    return f"SELECT {', '.join(values)} FROM read_parquet([{listed}], hive_partitioning = false)"


def _text(value: str, type: str) -> str:
    """Return the expression of a result's value as text; binary values as `\\x` and hexadecimal digits."""
    return f"'\\x' || lower(hex({value}))" if type == "BLOB" else f"CAST({value} AS VARCHAR)"
