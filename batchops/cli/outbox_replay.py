"""batchops outbox replay."""

import os
import sys
from typing import Any

import rich_click as click

from batchops.cli.execute_unasked import execute
from batchops.cli.help import Command
from batchops.cli.options import face, from_spec, help_of
from batchops.cli.output import Face, ends_of
from batchops.errors import UsageError
from batchops.outbox.replay import prepared_replay, replay_prepared
from batchops.outbox.spec import ReplaySpec
from batchops.spec.models import checked


@click.command(
    "replay",
    cls=Command,
    help="Deliver events of TABLE again that were sent, in the order they were written. Their marks stay as they are: "
    "nothing is written to the database. It asks no question.\n\n"
    "batchops outbox replay outbox --to file:again.jsonl --since 2h --rate 500",
)
@help_of("outbox replay", ReplaySpec)
@from_spec(ReplaySpec)
@face
@click.pass_context
def replay(context: click.RichContext, /, **values: Any) -> None:
    """The command."""
    shown = Face(**{name: values.pop(name) for name in Face.__dataclass_fields__})
    spec = checked(ReplaySpec, {name: value for name, value in values.items() if value not in (None, ())})
    taken = spec.to == "-"
    if taken and shown.as_json:
        raise UsageError("--json: with --to - the events stand on stdout.", "give --events FILE, or --to file:PATH.")
    shown.interval()
    ends = [*ends_of(shown, sys.stderr)] if taken else None
    context.exit(execute(spec, prepared_replay(spec, os.environ), shown, "replay", replay_prepared, ends))
