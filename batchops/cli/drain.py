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
    help="Hand the pending rows of TABLE to a handler, by any number of workers and processes.\n\nA worker leases "
    "rows, hands them to the handler, and marks them as done if it still holds the lease. Each row is handled "
    "at least once. Work by --set or by a function (rows, connection) is done exactly once. drain asks no "
    "question.",
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
