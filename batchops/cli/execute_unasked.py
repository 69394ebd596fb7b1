"""Verbs that ask no question: planned, shown where that is wanted, and run."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

import rich_click as click

from batchops.cli.monitoring import opened, told_of_failure
from batchops.cli.output import Face, listeners, note
from batchops.cli.plan_view import ready_document, ready_lines
from batchops.cli.result_stream import result
from batchops.events import Emit, Finished
from batchops.reporters.document import as_json, document
from batchops.runtime.stop import Stop, signals
from batchops.spec.models import PacedSpec
from batchops.verbs import Ready

P = TypeVar("P", bound=Ready)


def execute(
    asked: PacedSpec, prepared: AbstractContextManager[P], shown: Face, verb: str,
    perform: Callable[[P, Emit, Stop], Finished], ends: Sequence[Emit] | None = None,
) -> int:  # fmt: skip
    """Plan, show the plan where it is wanted, and run; the exit code. `ends`: see `listeners`."""
    with opened(shown) as machines:
        tell = machines.whole()
        with told_of_failure(tell, verb, asked.table), prepared as job:
            return _execute(job, shown, perform, ends, tell)


def _execute(
    job: P, shown: Face, perform: Callable[[P, Emit, Stop], Finished], ends: Sequence[Emit] | None, tell: Sequence[Emit]
) -> int:  # fmt: skip
    for warning in () if shown.quiet else job.warnings:
        note(f"warning: {warning}")
    if shown.plan_wanted or shown.dry_run:
        for line in ready_lines(job, whole=shown.dry_run):
            if shown.dry_run and not shown.as_json:
                click.echo(line, file=result())
            else:
                note(line)
    if shown.dry_run:
        return _not_run(job, shown)
    stop = Stop()
    with listeners(shown, ends, machines=tell) as emit, signals(stop):
        finished = perform(job, emit, stop)
    return shown.code(finished)


def _not_run(job: Ready, shown: Face) -> int:
    finished = job.ended("dry-run")
    if shown.as_json:
        click.echo(as_json(document(finished) | ready_document(job, whole=True)), file=result())
    return shown.code(finished)
