"""batchops drain."""

import os
from typing import Any

import rich_click as click

from batchops.cli.execute_unasked import execute
from batchops.cli.help import Command
from batchops.cli.options import from_spec, help_of, output_options
from batchops.cli.output import Output
from batchops.cli.result_stream import others_on_stderr
from batchops.queue.job import run_drain
from batchops.queue.prepare import prepare_drain
from batchops.queue.spec import DrainSpec
from batchops.spec.models import checked


@click.command(
    "drain",
    cls=Command,
    help="Hand the pending rows of TABLE to a handler, in batches, by any number of workers and processes.\n\n"
    "A row is leased, worked on, and marked done where the lease still holds: at least once; exactly once for "
    "what is done in the same transaction, by --set or by a function (rows, connection). It asks no question.",
)
@help_of("drain", DrainSpec)
@from_spec(DrainSpec)
@output_options
@click.pass_context
def command(context: click.RichContext, /, **values: Any) -> None:
    """The command."""
    output = Output(**{name: values.pop(name) for name in Output.__dataclass_fields__})
    given = {name: value for name, value in values.items() if value not in (None, ())}
    output.interval()
    spec = checked(DrainSpec, given)
    with others_on_stderr():
        code = execute(spec, prepare_drain(spec, os.environ), output, "drain", run_drain)
    context.exit(code)
