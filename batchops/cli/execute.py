"""What purge and backfill share on the command line: plan, question, run, exit code."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import rich_click as click

from batchops.bulk.job import run_bulk
from batchops.bulk.prepare import BulkJob, prepare_bulk
from batchops.bulk.strategies.id_file import STDIN
from batchops.cli.help import Command
from batchops.cli.monitoring import open_monitoring, report_failure
from batchops.cli.options import from_spec, help_of, output_options
from batchops.cli.output import Output, listeners, note
from batchops.cli.plan_view import plan_document, plan_lines, show_plan
from batchops.errors import UsageError
from batchops.events import Emit
from batchops.reporters.document import as_json, document
from batchops.runtime.refusal import refuse
from batchops.runtime.stop import Stop, signals
from batchops.spec.models import BulkSpec, VerbSpec, checked


def command_for(verb: str, model: type[BulkSpec], text: str) -> click.Command:
    """The click command of a bulk verb."""

    @click.command(verb, cls=Command, help=text)
    @help_of(verb, model)
    @from_spec(model)
    @output_options
    @click.pass_context
    def command(context: click.RichContext, /, **values: Any) -> None:
        output = Output(**{name: values.pop(name) for name in Output.__dataclass_fields__})
        given = {name: value for name, value in values.items() if value not in (None, ())}
        context.exit(execute(verb, checked(model, given), output))

    return command


def execute(verb: str, spec: BulkSpec, output: Output) -> int:
    """Plan, ask, run; the exit code."""
    output.interval()
    if not (output.yes or output.dry_run or sys.stdin.isatty()):
        raise UsageError("There is no terminal to ask at.", "say -y (--yes) to go on without a question.")
    stdin_is_free(output, spec)
    with open_monitoring(output) as monitoring:
        tell = monitoring.whole()
        with report_failure(tell, verb, spec.table):
            return _execute(verb, spec, output, tell)


def stdin_is_free(output: Output, *specs: VerbSpec) -> None:
    """UsageError where a question is to be answered on stdin, and the ids are there."""
    if not (output.yes or output.dry_run) and any(getattr(spec, "ids", None) == STDIN for spec in specs):
        raise UsageError("--ids -: stdin is for the ids, so there is nobody to ask.", "say -y (--yes), or name a file.")


def _execute(verb: str, spec: BulkSpec, output: Output, tell: Sequence[Emit]) -> int:
    with prepare_bulk(verb, spec, os.environ) as job:
        told = job.plan.facts.warnings if output.dry_run and not output.as_json else ()  # the plan says them
        for warning in () if output.quiet else [w for w in job.warnings if w not in told]:
            note(f"warning: {warning}")
        if not output.dry_run and job.done is None:
            refuse(job.plan.refusals)
        _show(job, output)
        if output.dry_run or not (job.done is not None or output.yes or _agreed(job)):
            return _not_run(job, output)
        stop = Stop()
        with listeners(output, monitoring=tell) as emit, signals(stop):
            finished = run_bulk(job, emit, stop)
    return output.code(finished)


def _show(job: BulkJob, output: Output) -> None:
    """The plan: a dry run's result, else for whoever watches."""
    if not (output.dry_run or output.plan_wanted):
        return
    if output.watched and not output.dry_run:
        show_plan(job.plan)
        return
    for line in plan_lines(job.plan, whole=output.dry_run):
        (print_result if output.dry_run and not output.as_json else note)(line)


def print_result(line: str) -> None:
    """A line of the result, on stdout."""
    click.echo(line)


def _agreed(job: BulkJob) -> bool:
    verb = {"purge": "Delete these rows", "backfill": "Update these rows"}[job.verb]
    return click.confirm(f"{verb}?", default=False, err=True)


def _not_run(job: BulkJob, output: Output) -> int:
    """A dry run, or a no at the question."""
    finished = job.ended("dry-run" if output.dry_run else "declined")
    if output.as_json:
        extra = plan_document(job.plan) if output.dry_run else {}
        print_result(as_json(document(finished) | extra))
    elif finished.reason == "declined":
        note("Declined; nothing was changed.")
    return output.code(finished)
