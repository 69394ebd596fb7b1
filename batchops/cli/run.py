"""The command batchops run: runs the jobs of a recipe, one after another."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import rich_click as click

from batchops.cli import completion_sources
from batchops.cli.command_state import command_state, others_on_stderr, result
from batchops.cli.execute import may_ask, print_result
from batchops.cli.help import Command
from batchops.cli.monitoring import Monitoring, open_monitoring
from batchops.cli.options import PARAMS, RECIPE, output_options
from batchops.cli.output import Output, listeners, note
from batchops.cli.plan_view import plan_lines
from batchops.errors import BatchopsError, Exit, UsageError
from batchops.events import Emit, Finished, Started
from batchops.recipes.load import load
from batchops.recipes.params import assignments
from batchops.recipes.recipe import RecipeJob
from batchops.recipes.run import not_begun, run_job, warnings_of
from batchops.recipes.run_all import Ended, gravest, run_jobs
from batchops.reporters import Warn, everyone, step_summary
from batchops.reporters.document import as_json, document
from batchops.reporters.figures import visible
from batchops.reporters.job_lines import JobLine, totals
from batchops.reporters.summary import SummaryParagraph, unless_well
from batchops.runtime.stop import Stop, signals
from batchops.spec.verb import Plan
from batchops.version import __version__


@click.command(
    "run",
    cls=Command,
    help="Run the jobs of the recipe FILE one after another: all, or each JOB and the jobs that it needs.\n\nIf a "
    "job fails, the others still run, except the jobs that need it. The exit code is the gravest of all jobs. "
    "The same command continues an earlier run that stopped.\n\nThe plan of each job is one line; --dry-run shows "
    "whole plans.\n\nExample: batchops run nightly.toml --param "
    "keep=30d --dry-run",
)
@click.argument("recipe", **RECIPE)
@click.argument("jobs", metavar="[JOB]...", nargs=-1, shell_complete=completion_sources.jobs)
@PARAMS
@output_options
@click.pass_context
def command(
    context: click.RichContext, /, recipe: Path, jobs: tuple[str, ...], param: tuple[str, ...], **values: Any
) -> None:
    """Run the chosen jobs of the recipe."""
    output = Output(**values)
    output.interval()
    chosen = load(recipe, assignments(param)).chosen(jobs)
    context.exit(JobsRun(str(recipe), chosen, output, {"recipe": str(recipe)}).exit())


class JobsRun:
    """Runs several jobs, one after another, with their plans and one question first."""

    def __init__(self, name: str, jobs: Sequence[RecipeJob], output: Output, about: Mapping[str, Any]) -> None:
        """`name`: a name for all jobs together, for people. `about`: further fields of the JSON document."""
        self._name, self._jobs, self._output, self._about = name, jobs, output, about
        self._plans: dict[str, dict[str, Any]] = {}
        self._begun = time.monotonic()
        self._stop = Stop()

    def exit(self) -> int:
        """Plan the jobs, ask once, run them; return the exit code."""
        output = self._output
        command_state().planning = True
        self._possible()
        asked = any(job.verb.asks for job in self._jobs) and not (output.yes or output.dry_run)
        if output.dry_run:
            return self._finish([Ended(job, self._planned(job)) for job in self._jobs])
        if asked and not self._agreed():
            note("Declined; nothing was changed.")
            return self._finish([Ended(job, _declined(job)) for job in self._jobs])
        with open_monitoring(output, [job.name for job in self._jobs]) as monitoring:
            over_all = everyone(monitoring.over_all(), note)
            over_all(Started(None, "run", self._name, "", False, None, None))
            try:
                ends = self._run(monitoring)
            except BaseException:
                over_all(Finished("run", self._name, "failed", Exit.FAILED, __version__))
                raise
            code = self._code(ends)
            over_all(Finished("run", self._name, "failed" if code else "done", code, __version__))
        return self._finish(ends)

    def _possible(self) -> None:
        """Raise UsageError for a combination of jobs and flags that cannot work."""
        if any(job.verb.asks for job in self._jobs):
            may_ask(self._output, *(job.spec for job in self._jobs))
        for job in self._jobs[:-1]:
            if job.spec.stays_up:
                raise UsageError(
                    f'Job "{job.name}" does not end (poll), so the jobs after it would never run.',
                    "remove poll: `batchops schedule` repeats jobs; or run the job alone.",
                )
        if self._taken and self._output.as_json:
            raise UsageError("--json and a relay to - both write to stdout.", "use --events FILE, or another to.")

    @property
    def _taken(self) -> bool:
        """Whether a relay writes its events to stdout."""
        return any(job.spec.writes_stdout for job in self._jobs)

    @property
    def _result(self) -> TextIO:
        """The stream for lines to people."""
        return sys.stderr if self._output.watched or self._output.as_json or self._taken else result()

    def _planned(self, job: RecipeJob) -> Finished:
        """Plan the job and show the plan, without changing anything."""
        try:
            with _apart(job), job.verb.prepare(job.spec, os.environ, recipe=job.call) as ready:
                plan = ready.plan.rehearsed() if self._output.dry_run else ready.plan
                self._warn(job, plan)
                self._show(job, plan)
                self._plans[job.name] = {"plan": plan.document()}
                finished = ready.not_run("dry-run")
        except BatchopsError as error:
            finished = not_begun(job, error)
        if finished.error is not None and self._output.dry_run:
            self._end(job)(finished)
        elif finished.error is not None:
            note(f"{job.name}: cannot start now: {visible(finished.error.message)}")
        return finished

    def _agreed(self) -> bool:
        """Show the plans and ask once for all jobs; return whether they may run. If no job can begin, do not ask."""
        plans = [self._planned(job) for job in self._jobs]
        able = sum(plan.error is None for plan in plans)
        what = "this job" if able == 1 else f"these {able} jobs"
        return not able or click.confirm(f"Run {what}?", default=False, err=True)

    def _run(self, monitoring: Monitoring) -> list[Ended]:
        stop = self._stop
        self._begun = time.monotonic()  # the time until the user's answer does not count
        command_state().planning = False
        with signals(stop):
            ends = []
            for end in run_jobs(self._jobs, lambda job: self._one(job, stop, monitoring), stop):
                if end.finished is None and not self._output.quiet:
                    note(f"{end.job.name}: skipped: {end.skipped}")
                ends.append(end)
        return ends

    def _one(self, job: RecipeJob, stop: Stop, monitoring: Monitoring) -> Finished:
        output = self._output
        if output.watched and not output.quiet and len(self._jobs) > 1:
            note(f"\n[{self._jobs.index(job) + 1}/{len(self._jobs)}] {job.name}")

        def planned(plan: Plan) -> None:
            if output.yes and output.plan_wanted:
                self._show(job, plan)

        with _apart(job), listeners(output, [self._end(job)], job.name, monitoring.of(job.name)) as emit:
            return run_job(job, os.environ, emit, stop, planned)

    def _show(self, job: RecipeJob, plan: Plan) -> None:
        """Print the plan: whole on stdout for a dry run, otherwise as a line on stderr."""
        dry = self._output.dry_run
        if self._output.quiet and not dry:
            return
        say: Warn = print_result if dry and not self._output.as_json else note
        what = f"  ({visible(job.description)})" if job.description else ""
        if not dry:
            say(f"{job.name}: {visible(plan.summary)}{what}")
            return
        first, *rest = plan_lines(plan, whole=True)
        for line in (f"{job.name}: {first}{what}", *rest):
            say(line)

    def _warn(self, job: RecipeJob, plan: Plan) -> None:
        for warning in () if self._output.quiet else warnings_of(job, plan):
            note(f"warning: {warning}")

    def _end(self, job: RecipeJob) -> Emit:
        """Return the listener for the end of one job: a paragraph on a terminal, a line in a log."""
        output = self._output
        to_person = output.watched and not output.dry_run
        reporter: Emit = SummaryParagraph(sys.stderr) if to_person else JobLine(self._result, job.name)
        return unless_well(reporter) if output.quiet else reporter

    def _finish(self, ends: Sequence[Ended]) -> int:
        """Report the end of all jobs; return the exit code."""
        output = self._output
        code = self._code(ends)
        step_summary.append(os.environ, [(end.job.name, end.finished, end.skipped) for end in ends])
        if len(ends) > 1 and not (output.quiet or output.dry_run):
            seconds = time.monotonic() - self._begun
            click.echo(totals(self._name, [end.finished for end in ends], seconds), file=self._result)
        if output.as_json:
            jobs = [self._document(end) for end in ends]
            click.echo(as_json({"version": __version__, **self._about, "exit": code, "jobs": jobs}))
        command_state().code = code
        return code

    def _code(self, ends: Sequence[Ended]) -> int:
        """Return the gravest exit code of the jobs, including that of a signal between two jobs."""
        codes = [self._output.code(end.finished) for end in ends if end.finished is not None]
        cut_short = self._stop.signal and any(end.finished is None for end in ends)
        return gravest([*codes, 128 + self._stop.signal] if cut_short and self._stop.signal else codes)

    def _document(self, end: Ended) -> dict[str, Any]:
        job, finished = end.job, end.finished
        if finished is not None:
            here = replace(finished, exit=int(self._output.code(finished)))
            return {"job": job.name, **document(here), **self._plans.get(job.name, {})}
        nothing = Finished(job.verb.name, job.spec.table, "skipped", 0, __version__)
        error = {"code": "skipped", "message": end.skipped, "hint": ""}
        return {"job": job.name, **document(nothing), "exit": None, "error": error}


def _apart(job: RecipeJob) -> AbstractContextManager[None]:
    """Redirect stdout to stderr in the block if the job runs the user's own code."""
    return others_on_stderr() if job.spec.runs_user_code else nullcontext()


def _declined(job: RecipeJob) -> Finished:
    return Finished(job.verb.name, job.spec.table, "declined", int(Exit.FAILED), __version__)
