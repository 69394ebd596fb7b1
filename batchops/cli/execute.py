"""What purge and backfill share on the command line: plan, question, run, exit code."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import rich_click as click

from batchops.bulk.job import perform
from batchops.bulk.plan.refusal import refuse
from batchops.bulk.prepare import Prepared, prepared
from batchops.bulk.strategies.id_file import STDIN
from batchops.cli.help import Command
from batchops.cli.monitoring import opened, told_of_failure
from batchops.cli.options import face, from_spec, help_of
from batchops.cli.output import Face, listeners, note
from batchops.cli.plan_view import plan_document, plan_lines, show_plan
from batchops.errors import UsageError
from batchops.events import Emit
from batchops.reporters.document import as_json, document
from batchops.runtime.stop import Stop, signals
from batchops.spec.models import JobSpec, PacedSpec, checked


def command_for(verb: str, model: type[JobSpec], text: str) -> click.Command:
    """The click command of a verb that walks a table."""

    @click.command(verb, cls=Command, help=text)
    @help_of(verb, model)
    @from_spec(model)
    @face
    @click.pass_context
    def command(context: click.RichContext, /, **values: Any) -> None:
        shown = Face(**{name: values.pop(name) for name in Face.__dataclass_fields__})
        given = {name: value for name, value in values.items() if value not in (None, ())}
        context.exit(execute(verb, checked(model, given), shown))

    return command


def execute(verb: str, spec: JobSpec, shown: Face) -> int:
    """Plan, ask, run; the exit code."""
    shown.interval()
    if not (shown.yes or shown.dry_run or sys.stdin.isatty()):
        raise UsageError("There is no terminal to ask at.", "say -y (--yes) to go on without a question.")
    stdin_is_free(shown, spec)
    with opened(shown) as machines:
        tell = machines.whole()
        with told_of_failure(tell, verb, spec.table):
            return _execute(verb, spec, shown, tell)


def stdin_is_free(shown: Face, *specs: PacedSpec) -> None:
    """UsageError where a question is to be answered on stdin, and the ids are there."""
    if not (shown.yes or shown.dry_run) and any(getattr(spec, "ids", None) == STDIN for spec in specs):
        raise UsageError("--ids -: stdin is for the ids, so there is nobody to ask.", "say -y (--yes), or name a file.")


def _execute(verb: str, spec: JobSpec, shown: Face, tell: Sequence[Emit]) -> int:
    with prepared(verb, spec, os.environ) as job:
        told = job.plan.facts.warnings if shown.dry_run and not shown.as_json else ()  # the plan says them
        for warning in () if shown.quiet else [w for w in job.warnings if w not in told]:
            note(f"warning: {warning}")
        if not shown.dry_run and job.done is None:
            refuse(job.plan.refusals)
        _show(job, shown)
        if shown.dry_run or not (job.done is not None or shown.yes or _agreed(job)):
            return _not_run(job, shown)
        stop = Stop()
        with listeners(shown, machines=tell) as emit, signals(stop):
            finished = perform(job, emit, stop)
    return shown.code(finished)


def _show(job: Prepared, shown: Face) -> None:
    """The plan: a dry run's result, else for whoever watches."""
    if not (shown.dry_run or shown.plan_wanted):
        return
    if shown.watched and not shown.dry_run:
        show_plan(job.plan)
        return
    for line in plan_lines(job.plan, whole=shown.dry_run):
        (print_result if shown.dry_run and not shown.as_json else note)(line)


def print_result(line: str) -> None:
    """A line of the result, on stdout."""
    click.echo(line)


def _agreed(job: Prepared) -> bool:
    verb = {"purge": "Delete these rows", "backfill": "Update these rows"}[job.verb]
    return click.confirm(f"{verb}?", default=False, err=True)


def _not_run(job: Prepared, shown: Face) -> int:
    """A dry run, or a no at the question."""
    finished = job.ended("dry-run" if shown.dry_run else "declined")
    if shown.as_json:
        extra = plan_document(job.plan) if shown.dry_run else {}
        print_result(as_json(document(finished) | extra))
    elif finished.reason == "declined":
        note("Declined; nothing was changed.")
    return shown.code(finished)
