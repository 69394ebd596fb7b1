"""The command batchops demo."""

import tempfile
from pathlib import Path

import rich_click as click

from batchops.bulk.purge import VERB
from batchops.cli.demo_database import make_demo_database, what_to_try
from batchops.cli.execute import execute
from batchops.cli.help import Command
from batchops.cli.output import Output, note
from batchops.spec.models import checked


@click.command("demo", cls=Command)
@click.option("--file", "path", metavar="FILE", help="File to create. Default: a file in a new temporary folder.")
@click.option("--rows", type=click.IntRange(min=2), default=1_000_000, show_default=True, help="Number of rows.")
@click.pass_context
def command(context: click.Context, path: str | None, rows: int) -> None:
    """Create a SQLite file with a million rows, purge half of them, and suggest what to try next."""
    place = Path(path) if path else Path(tempfile.mkdtemp(prefix="batchops-demo-")) / "demo.db"
    note(f"Making {place} with {rows:,} rows …")
    make_demo_database(place, rows)
    spec = checked(VERB.spec, {"table": "events", "url": f"sqlite:///{place}", "where": "expired = 1"})
    plain = Output(
        dry_run=False, yes=True, as_json=False, events=None, quiet=False, progress_every="1min", exit_code=False
    )
    code = execute(VERB, spec, plain)
    click.echo("\n" + what_to_try(place, rows))
    context.exit(code)
