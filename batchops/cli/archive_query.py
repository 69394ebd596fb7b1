"""The command batchops archive query."""

import shutil
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict
from itertools import chain, islice
from typing import TYPE_CHECKING

import rich_click as click

from batchops.archive.csv_file import record
from batchops.archive.destination import Destination, open_destination
from batchops.cli.archive_options import DEST
from batchops.cli.help import Command
from batchops.reporters.document import as_json
from batchops.reporters.figures import counted, visible

if TYPE_CHECKING:
    from batchops.archive.query.query import QueryResult

SHOWN = 1_000
"""The most rows of a table for people."""
_WIDE = 1 << 16
"""Columns of a table in a pipe: none of its lines is cut."""
_KEPT = 4 << 20
"""Bytes of a JSON document in memory; more of it goes to a temporary file."""


@click.command("query", cls=Command)
@DEST
@click.argument("sql", metavar='"SELECT …"')
@click.option("--run", type=click.IntRange(min=1), metavar="N", help="Only rows that this run archived.")
@click.option(
    "--format",
    "output",
    type=click.Choice(("table", "csv", "json")),
    help="Default: table on a terminal, csv elsewhere. A table shows the first 1,000 rows.",
)
@click.option("--json", "as_json_document", is_flag=True, help="Print one JSON document on stdout, as --format json.")
def command(dest: str, sql: str, run: int | None, output: str | None, as_json_document: bool) -> None:
    """Answer a SELECT over the archive in DEST by DuckDB. Each archived table has its own name there.

    Needs no database, and the extra query: pip install 'batchops[query]'. Only the files of tables that the SELECT
    names are read, after their SHA-256 is compared with their records: exit 13 if one differs. Any other statement,
    and a SELECT that reads anything else, is refused with 2.
    """
    from batchops.archive.query.query import query

    destination = open_destination(dest)
    watched = sys.stderr.isatty()
    seen = 0

    def progress(_: object) -> None:
        nonlocal seen
        seen += 1
        if watched:
            click.echo(f"\r\x1b[K{counted(seen, 'file')}\r", nl=False, err=True)

    with query(destination, sql, run, progress) as result:
        for note in result.notes:
            click.echo(f"note: {visible(note)}", err=True)
        with suppress(BrokenPipeError):  # whoever reads has read enough
            _print(destination, result, "json" if as_json_document else output)


def _print(destination: Destination, result: "QueryResult", output: str | None) -> None:
    kind = output or ("table" if sys.stdout.isatty() else "csv")
    if kind == "json":
        _print_document(destination, result)
    elif kind == "csv":
        _print_csv(result)
    else:
        _print_table(result)
    sys.stdout.flush()


def _print_document(destination: Destination, result: "QueryResult") -> None:
    """Print the document once all of its rows are there: an error is a document of its own."""
    with tempfile.SpooledTemporaryFile(_KEPT, "w+", encoding="ascii") as kept:
        columns = [asdict(column) for column in result.columns]
        head = as_json({"destination": destination.shown, "exit": 0, "columns": columns, "notes": [*result.notes]})
        kept.write(f'{head[:-1]}, "rows": [')
        for place, row in enumerate(result.rows):
            kept.write(f"{', ' if place else ''}{as_json([_finite(value) for value in row])}")
        kept.write("]}\n")
        kept.seek(0)
        shutil.copyfileobj(kept, sys.stdout)


def _finite(value: object) -> object:
    """Return a value for JSON, which has no words for NaN and the infinities: they are texts."""
    unequal = isinstance(value, float) and value - value != 0
    return str(value) if unequal else value


def _print_csv(result: "QueryResult") -> None:
    """Print CSV as in an archive: NULL is an empty field, and an empty text is `""`."""
    rows = chain([tuple(column.name for column in result.columns)], result.texts)
    while part := [*islice(rows, SHOWN)]:
        click.echo(b"".join(map(record, part)), nl=False)


def _print_table(result: "QueryResult") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in result.columns:
        number = column.type.startswith(("DECIMAL", "DOUBLE", "FLOAT")) or column.type.endswith("INT")
        table.add_column(Text(visible(column.name)), justify="right" if number or column.type == "INTEGER" else "left")
    rows = iter(result.texts)
    for row in islice(rows, SHOWN):
        table.add_row(*(Text("NULL", "dim") if text is None else Text(visible(text)) for text in row))
    more = sum(1 for _ in rows)
    wide = None if sys.stdout.isatty() else _WIDE
    Console(width=wide).print(table)
    if more:
        click.echo(f"{counted(more, 'more row')}: --format csv or --json prints all.", err=True)
