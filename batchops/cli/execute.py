"""execute(): the steps of every verb's command: spec, plan, question, run, exit code."""

import os
import sys
from contextlib import ExitStack
from typing import Any

import rich_click as click

from batchops.cli.command_state import others_on_stderr, result
from batchops.cli.help import Command
from batchops.cli.monitoring import open_monitoring, report_failure
from batchops.cli.options import from_spec, help_of, output_options
from batchops.cli.output import Output, ends_of, listeners, note
from batchops.cli.plan_view import plan_lines, show_plan
from batchops.errors import UsageError
from batchops.reporters.document import as_json, document
from batchops.runtime.refusal import refuse
from batchops.runtime.stop import Stop, signals
from batchops.spec.models import VerbSpec, checked
from batchops.spec.verb import Job, Verb


def command_for(verb: Verb) -> click.Command:
    """Return the click command of a verb."""

    @click.command(verb.name, cls=Command, help=verb.help)
    @help_of(verb.command, verb.spec)
    @from_spec(verb.spec)
    @output_options
    @click.pass_context
    def command(context: click.RichContext, /, **values: Any) -> None:
        output = Output(**{name: values.pop(name) for name in Output.__dataclass_fields__})
        given = {name: value for name, value in values.items() if value not in (None, ())}
        context.exit(execute(verb, checked(verb.spec, given), output))

    return command


def execute(verb: Verb, spec: VerbSpec, output: Output) -> int:
    """Plan the job, ask the question, run the job; return the exit code."""
    output.interval()
    if verb.asks:
        may_ask(output, spec)
    if spec.writes_stdout and output.as_json:
        raise UsageError("--json and --to - both write to stdout.", "use --events FILE, or --to file:PATH.")
    with ExitStack() as stack:
        if spec.runs_user_code:
            stack.enter_context(others_on_stderr())
        ends = [*ends_of(output, sys.stderr)] if spec.writes_stdout else None
        monitoring = stack.enter_context(open_monitoring(output)).whole()
        stack.enter_context(report_failure(monitoring, verb.name, spec.table))
        job = stack.enter_context(verb.prepare(spec, os.environ))
        _show(job, output)
        if output.dry_run or not _agreed(job, output):
            return _not_run(job, output)
        stop = Stop()
        with listeners(output, ends, monitoring=monitoring) as emit, signals(stop):
            finished = job.run(emit, stop)
    return output.code(finished)


def may_ask(output: Output, *specs: VerbSpec) -> None:
    """Raise UsageError if there is a question but no terminal to ask at."""
    if output.yes or output.dry_run:
        return
    if any(spec.reads_stdin for spec in specs):
        raise UsageError("--ids - reads stdin, so there is no terminal to ask at.", "use -y (--yes), or name a file.")
    if not sys.stdin.isatty():
        raise UsageError("There is no terminal to ask at.", "use -y (--yes) to run without a question.")


def _show(job: Job, output: Output) -> None:
    """Print warnings and the plan: on stdout for a dry run, otherwise on stderr."""
    plan = job.plan.rehearsed() if output.dry_run else job.plan
    on_stdout = output.dry_run and not output.as_json
    shown = {text for name, text in plan.rows(whole=True) if name == "warning"} if on_stdout else set()
    for warning in () if output.quiet else [warning for warning in plan.warnings if warning not in shown]:
        note(f"warning: {warning}")
    if output.watched and output.plan_wanted and not output.dry_run:
        show_plan(plan)
    elif output.plan_wanted or output.dry_run:
        for line in plan_lines(plan, whole=output.dry_run):
            (print_result if on_stdout else note)(line)
    if output.dry_run and output.as_json:
        print_result(as_json(document(job.not_run("dry-run")) | {"plan": plan.document()}))


def print_result(line: str) -> None:
    """Print a line of the result."""
    click.echo(line, file=result())


def _agreed(job: Job, output: Output) -> bool:
    """Whether the job may run: it asks no question, or the user says yes. A refused job is not asked about."""
    if not job.plan.question:
        return True
    refuse(job.plan.refusals)
    return output.yes or click.confirm(job.plan.question, default=False, err=True)


def _not_run(job: Job, output: Output) -> int:
    """End a dry run, or a job that the user declined; return the exit code."""
    finished = job.not_run("dry-run" if output.dry_run else "declined")
    if output.dry_run:
        return output.code(finished)
    if output.as_json:
        print_result(as_json(document(finished)))
    else:
        note("Declined; nothing was changed.")
    return output.code(finished)
