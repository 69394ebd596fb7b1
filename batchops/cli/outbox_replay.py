"""batchops outbox replay."""

import os
import sys
from typing import Any

import rich_click as click

from batchops.cli.execute_unasked import execute
from batchops.cli.help import Command
from batchops.cli.options import from_spec, help_of, output_options
from batchops.cli.output import Output, ends_of
from batchops.errors import UsageError
from batchops.outbox.replay import prepare_replay, run_replay
from batchops.outbox.spec import ReplaySpec
from batchops.spec.models import checked


@click.command(
    "replay",
    cls=Command,
    help="Deliver sent events of TABLE again, in the order of writing.\n\nNothing is written to the database. "
    "replay asks no question.\n\nExample: batchops outbox replay outbox --to file:again.jsonl --since 2h "
    "--rate 500",
)
@help_of("outbox replay", ReplaySpec)
@from_spec(ReplaySpec)
@output_options
@click.pass_context
def replay(context: click.RichContext, /, **values: Any) -> None:
    """The command."""
    output = Output(**{name: values.pop(name) for name in Output.__dataclass_fields__})
    spec = checked(ReplaySpec, {name: value for name, value in values.items() if value not in (None, ())})
    taken = spec.to == "-"
    if taken and output.as_json:
        raise UsageError("--json: with --to - the events stand on stdout.", "give --events FILE, or --to file:PATH.")
    output.interval()
    ends = [*ends_of(output, sys.stderr)] if taken else None
    context.exit(execute(spec, prepare_replay(spec, os.environ), output, "replay", run_replay, ends))
