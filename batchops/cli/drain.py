"""batchops drain."""

import os
from typing import Any

import rich_click as click

from batchops.assemble_drain import PreparedDrain, drain_prepared, prepared_drain
from batchops.cli.face import Face, listeners, note
from batchops.cli.help import Command
from batchops.cli.options import face, from_spec, help_of
from batchops.cli.planned import ready_document, ready_lines
from batchops.queues.spec import DrainSpec
from batchops.reporters.document import as_json, document
from batchops.specs import checked
from batchops.stop import Stop, signals


@click.command(
    "drain",
    cls=Command,
    help="Hand the pending rows of TABLE to a handler, in batches, by any number of workers and processes.\n\n"
    "A row is leased, worked on, and marked done where the lease still holds: at least once; exactly once for "
    "what is done in the same transaction, by --set or by a function (rows, connection). It asks no question.",
)
@help_of("drain", DrainSpec)
@from_spec(DrainSpec)
@face
@click.pass_context
def command(context: click.RichContext, /, **values: Any) -> None:
    """The command."""
    shown = Face(**{name: values.pop(name) for name in Face.__dataclass_fields__})
    given = {name: value for name, value in values.items() if value not in (None, ())}
    context.exit(execute(checked(DrainSpec, given), shown))


def execute(spec: DrainSpec, shown: Face) -> int:
    """Plan and run; the exit code."""
    shown.interval()
    with prepared_drain(spec, os.environ) as job:
        for warning in () if shown.quiet else job.warnings:
            note(f"warning: {warning}")
        if shown.plan_wanted or shown.dry_run:
            for line in ready_lines(job, whole=shown.dry_run):
                (click.echo if shown.dry_run and not shown.as_json else note)(line)
        if shown.dry_run:
            return _not_run(job, shown)
        stop = Stop()
        with listeners(shown) as emit, signals(stop, job.database.cancel):
            finished = drain_prepared(job, emit, stop)
    return shown.code(finished)


def _not_run(job: PreparedDrain, shown: Face) -> int:
    finished = job.ended("dry-run")
    if shown.as_json:
        click.echo(as_json(document(finished) | ready_document(job)))
    return shown.code(finished)
