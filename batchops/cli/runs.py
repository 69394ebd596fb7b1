"""batchops runs."""

import rich_click as click

from batchops.cli.help import Command
from batchops.cli.ledger_options import ledger_flags, named_ledger
from batchops.cli.run_view import run_document, run_row
from batchops.ledger.history import load_runs
from batchops.reporters.document import as_json


@click.command("runs", cls=Command)
@ledger_flags
@click.option("--table", metavar="TABLE", help="Only runs on this table.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Number of runs.")
@click.option("--json", "as_json_document", is_flag=True, help="Print one JSON document on stdout.")
def command(
    url: str | None, ledger: str | None, ledger_schema: str | None, table: str | None, limit: int,
    as_json_document: bool,
) -> None:  # fmt: skip
    """List the runs in a ledger, newest first."""
    with named_ledger(url, ledger, ledger_schema) as opened:
        runs = load_runs(opened, table=table, limit=limit)
    if as_json_document:
        click.echo(as_json({"runs": [run_document(run) for run in runs]}))
        return
    if not runs:
        click.echo("No runs.")
        return
    rows = [("RUN", "VERB", "TABLE", "STATE", "ROWS", "BATCHES", "STARTED", "WHERE"), *map(run_row, runs)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[-1]]).rstrip())
