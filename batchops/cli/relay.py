"""batchops relay."""

import os
import sys
from typing import Any

import rich_click as click

from batchops.cli.execute_unasked import execute
from batchops.cli.help import Command
from batchops.cli.options import face, from_spec, help_of
from batchops.cli.output import Face, ends_of
from batchops.errors import UsageError
from batchops.outbox.job import relay_prepared
from batchops.outbox.prepare import prepared_relay
from batchops.outbox.spec import RelaySpec
from batchops.spec.models import checked


@click.command(
    "relay",
    cls=Command,
    help="Deliver the unsent events of the outbox TABLE: in order within each aggregate, at least once.\n\n"
    "Relays share the outbox: each of --slots has one relay at a time, by a lease, and one relay alone has all of "
    "them. Once a lease has ended, as its relay died or froze, another one takes over: messages that were sent but not "
    "yet marked are sent again, and the old ones may arrive late. Events that another live relay holds: with --poll it "
    "waits, else it ends with 11 and names that relay. An event is marked once the destination has acknowledged it. It "
    "asks no question.\n\n"
    "batchops relay outbox --to file:events.jsonl",
)
@help_of("relay", RelaySpec)
@from_spec(RelaySpec)
@face
@click.pass_context
def command(context: click.RichContext, /, **values: Any) -> None:
    """The command."""
    shown = Face(**{name: values.pop(name) for name in Face.__dataclass_fields__})
    spec = checked(RelaySpec, {name: value for name, value in values.items() if value not in (None, ())})
    taken = spec.to == "-"
    if taken and shown.as_json:
        raise UsageError("--json: with --to - the events stand on stdout.", "give --events FILE, or --to file:PATH.")
    shown.interval()
    ends = [*ends_of(shown, sys.stderr)] if taken else None
    context.exit(execute(spec, prepared_relay(spec, os.environ), shown, "relay", relay_prepared, ends))
