"""batchops relay."""

import os
import sys
from typing import Any

import rich_click as click

from batchops.cli.execute_unasked import execute
from batchops.cli.help import Command
from batchops.cli.options import from_spec, help_of, output_options
from batchops.cli.output import Output, ends_of
from batchops.errors import UsageError
from batchops.outbox.job import run_relay
from batchops.outbox.prepare import prepare_relay
from batchops.outbox.spec import RelaySpec
from batchops.spec.models import checked


@click.command(
    "relay",
    cls=Command,
    help="Deliver the unsent events of the outbox TABLE, in order within each aggregate, at least once.\n\nA relay "
    "marks an event after the destination has acknowledged it. Each of the --shards has one relay at a time, "
    "by a lease. When a lease expires, another relay takes over and sends unmarked messages again; old "
    "messages can arrive late. If another live relay holds undelivered events, a relay with --poll waits. "
    "Without --poll it ends with 11 and names the other relay. relay asks no question.\n\nExample: batchops "
    "relay outbox --to file:events.jsonl",
)
@help_of("relay", RelaySpec)
@from_spec(RelaySpec)
@output_options
@click.pass_context
def command(context: click.RichContext, /, **values: Any) -> None:
    """The command."""
    output = Output(**{name: values.pop(name) for name in Output.__dataclass_fields__})
    spec = checked(RelaySpec, {name: value for name, value in values.items() if value not in (None, ())})
    taken = spec.to == "-"
    if taken and output.as_json:
        raise UsageError("--json: with --to - the events stand on stdout.", "give --events FILE, or --to file:PATH.")
    output.interval()
    ends = [*ends_of(output, sys.stderr)] if taken else None
    context.exit(execute(spec, prepare_relay(spec, os.environ), output, "relay", run_relay, ends))
