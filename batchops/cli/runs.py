"""The command batchops runs."""

import sys

import rich_click as click

from batchops.cli import completion_sources
from batchops.cli.help import Command
from batchops.cli.ledger_options import ledger_flags, named_ledger
from batchops.cli.run_view import NAME, run_document, run_row
from batchops.errors import UsageError
from batchops.ledger.detached import load_detached
from batchops.ledger.history import load_runs
from batchops.reporters.document import as_json
from batchops.reporters.figures import visible

_HEADERS = ("RUN", "VERB", "TABLE", "STATE", "PROGRESS", "ROWS", "BATCHES", "STARTED", "WHERE")


@click.command("runs", cls=Command)
@click.argument("name", metavar=f"[{NAME}]", required=False, shell_complete=completion_sources.runs)
@ledger_flags
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Number of runs.")
@click.option("--watch", is_flag=True, help="Draw the list each second, with rates and reasons to wait. Ctrl-C ends.")
@click.option("--json", "as_json_document", is_flag=True, help="Print one JSON document on stdout.")
def command(
    name: str | None, url: str | None, ledger: str | None, ledger_schema: str | None, limit: int,
    watch: bool, as_json_document: bool,
) -> None:  # fmt: skip
    """List the runs in a ledger, newest first: all, or those of a table or of a recipe's job.

    Below the list are the commands that continue runs. Of a run that has not ended, "stale" means that no heartbeat
    comes, and "crashed" that its process is gone.
    """
    if watch and (as_json_document or not sys.stdout.isatty()):
        raise UsageError("--watch needs a terminal.", "`batchops runs --json` is for programs.")
    with named_ledger(url, ledger, ledger_schema) as opened:
        if watch:
            from batchops.cli.runs_watch import watch as draw

            draw(lambda: load_runs(opened, name=name, limit=limit))
            return
        runs, detached = load_runs(opened, name=name, limit=limit), load_detached(opened)
    if as_json_document:
        click.echo(as_json({"runs": [run_document(run) for run in runs]}))
        return
    if not runs:
        click.echo("No runs.")
        return
    rows = [_HEADERS, *map(run_row, runs)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADERS) - 1)]
    for row in rows:
        click.echo("  ".join((*(f"{text:<{width}}" for text, width in zip(row, widths, strict=False)), row[-1])))
    for left in detached:
        click.echo(f"Run {left.run} has detached partition {visible(left.detached)}, and must be continued.")
    for run in runs:
        if run.next:
            click.echo(f"Continue run {run.run.run}: {visible(run.next)}")
