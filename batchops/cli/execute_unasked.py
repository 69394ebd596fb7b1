"""Verbs that ask no question: planned, shown where that is wanted, and run."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

import rich_click as click

from batchops.cli.monitoring import open_monitoring, report_failure
from batchops.cli.output import Output, listeners, note
from batchops.cli.plan_view import job_plan_document, job_plan_lines
from batchops.cli.result_stream import result
from batchops.events import Emit, Finished
from batchops.reporters.document import as_json, document
from batchops.runtime.stop import Stop, signals
from batchops.spec.models import VerbSpec
from batchops.verbs import Job

P = TypeVar("P", bound=Job)


def execute(
    asked: VerbSpec, prepared: AbstractContextManager[P], output: Output, verb: str,
    perform: Callable[[P, Emit, Stop], Finished], ends: Sequence[Emit] | None = None,
) -> int:  # fmt: skip
    """Plan, show the plan where it is wanted, and run; the exit code. `ends`: see `listeners`."""
    with open_monitoring(output) as monitoring:
        tell = monitoring.whole()
        with report_failure(tell, verb, asked.table), prepared as job:
            return _execute(job, output, perform, ends, tell)


def _execute(
    job: P, output: Output, perform: Callable[[P, Emit, Stop], Finished], ends: Sequence[Emit] | None,
    tell: Sequence[Emit]
) -> int:  # fmt: skip
    for warning in () if output.quiet else job.warnings:
        note(f"warning: {warning}")
    if output.plan_wanted or output.dry_run:
        for line in job_plan_lines(job, whole=output.dry_run):
            if output.dry_run and not output.as_json:
                click.echo(line, file=result())
            else:
                note(line)
    if output.dry_run:
        return _not_run(job, output)
    stop = Stop()
    with listeners(output, ends, monitoring=tell) as emit, signals(stop):
        finished = perform(job, emit, stop)
    return output.code(finished)


def _not_run(job: Job, output: Output) -> int:
    finished = job.ended("dry-run")
    if output.as_json:
        click.echo(as_json(document(finished) | job_plan_document(job, whole=True)), file=result())
    return output.code(finished)
