"""The command batchops schedule: runs the jobs of recipes at their times, until stopped."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event as Flag
from typing import Any, Literal

import rich_click as click

from batchops.cli.command_state import others_on_stderr
from batchops.cli.health import health, live
from batchops.cli.help import Command
from batchops.cli.monitoring import Monitoring, open_monitoring
from batchops.cli.options import PARAMS, RECIPE, monitoring_options
from batchops.cli.schedule_preview import preview_document, preview_lines
from batchops.errors import BatchopsError, Exit, UsageError
from batchops.events import Emit
from batchops.recipes.params import assignments
from batchops.recipes.recipe import RecipeJob
from batchops.reporters import everyone, http_server
from batchops.reporters.document import as_json
from batchops.reporters.event_file import EventFile
from batchops.reporters.figures import counted
from batchops.reporters.log import Log
from batchops.reporters.schedule_status import ScheduleStatus
from batchops.runtime.stop import Stop, signals
from batchops.runtime.threads import described
from batchops.scheduler.prepare import FireLedger, Scheduled, may_keep_fires, placed, scheduled
from batchops.scheduler.scheduler import Scheduler
from batchops.version import __version__


@dataclass(frozen=True)
class ScheduleOutput:
    """The output and monitoring flags of the scheduler."""

    as_json: bool
    quiet: bool
    events: str | None
    health_port: str | None
    metrics_file: str | None
    metrics_port: str | None
    ping: tuple[str, ...]
    log_format: Literal["text", "json"] | None
    dry_run: bool = False


@click.command(
    "schedule",
    cls=Command,
    help="Run the jobs of the recipes FILE… that have a schedule (every, or cron and time-zone), until "
    "stopped.\n\nAny number of schedulers on any number of hosts can run the same jobs: each fire runs once. "
    "If a scheduler dies, another one completes its fire.\n\nSIGTERM ends the current batches and exits with "
    "0. It cuts a batch that exceeds its job's grace period (20 s), and the exit code is then 143. A second "
    "SIGTERM cuts at once. SIGHUP reads the files again. schedule asks no question.\n\nExample: batchops "
    "schedule nightly.toml --preview",
)
@click.argument("files", **RECIPE | {"metavar": "FILE...", "nargs": -1}, required=True)
@PARAMS
@click.option(
    "--workers", type=click.IntRange(1, 256), metavar="N", default=4, help="Jobs that run at the same time. Default: 4."
)
@click.option("--ledger", metavar="URL|FILE|none", help="Where fires are kept. Default: in the ledger of each job.")
@click.option("--ledger-schema", metavar="NAME", help="Schema of the tables for fires.")
@click.option("--preview", is_flag=True, help="Print the next ten fires of each job, then exit.")
@click.option("--health-port", metavar="[ADDRESS:]PORT", help="Serve /health and /live.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout: at the end, or of the preview.")
@click.option("--events", metavar="FILE", help="Append each event as a JSON line.")
@click.option("-q", "--quiet", is_flag=True, help="Log failures only.")
@monitoring_options
@click.pass_context
def command(
    context: click.RichContext, /, files: tuple[Path, ...], param: tuple[str, ...], workers: int,
    ledger: str | None, ledger_schema: str | None, preview: bool, **output: Any,
) -> None:  # fmt: skip
    """Print the next fires, or run the scheduler."""
    read = partial(scheduled, files, assignments(param), FireLedger(ledger, ledger_schema))
    if preview:
        _preview(read(), output["as_json"])
        return
    context.exit(SchedulerRun(read, workers, ScheduleOutput(**output)).exit())


def _preview(jobs: list[Scheduled], as_document: bool) -> None:
    if as_document:
        click.echo(as_json(preview_document(jobs)))
        return
    for line in preview_lines(jobs):
        click.echo(line)


class SchedulerRun:
    """Runs one scheduler until it is stopped."""

    def __init__(self, read: Callable[[], list[Scheduled]], workers: int, output: ScheduleOutput) -> None:
        self._read, self._workers, self._output = read, workers, output
        self._log = Log(sys.stderr, output.log_format or "text", least="warning" if output.quiet else "info")
        self._status = ScheduleStatus()
        self._stop = Stop()
        self._again = Flag()
        self._listening: dict[str, Emit] = {}

    def exit(self) -> int:
        """Run the scheduler until it is asked to stop; return the exit code."""
        jobs = self._read()
        with ExitStack() as stack:
            if not any(each.job.spec.writes_stdout for each in jobs):
                stack.enter_context(others_on_stderr())
            monitoring = stack.enter_context(open_monitoring(self._output, [each.job.name for each in jobs]))
            scheduler = Scheduler(self._workers, self._stop, self._on_fire(monitoring, stack), self._log.say)
            if self._output.health_port:
                place = _port(self._output.health_port)
                stack.enter_context(http_server.serving(place, self._answers(scheduler), self._log.say))
            stack.enter_context(signals(self._stop, instead={signal.SIGHUP: self._again.set}))
            may_keep_fires(jobs, os.environ)
            self._plan(scheduler, jobs, monitoring)
            scheduler.serve(partial(self._round, scheduler, monitoring))
        return self._ended()

    def _round(self, scheduler: Scheduler, monitoring: Monitoring) -> None:
        """Read the files again after SIGHUP; if they have a mistake, the old jobs stay."""
        if not self._again.is_set():
            return
        self._again.clear()
        try:
            jobs = self._read()
        except BatchopsError as error:
            self._log.say(f"error: the files were not reloaded, the old jobs stay: {error.message}")
            return
        self._log.say("the files were reloaded")
        self._plan(scheduler, jobs, monitoring)

    def _plan(self, scheduler: Scheduler, jobs: list[Scheduled], monitoring: Monitoring) -> None:
        for each in jobs:
            self._log.say(f"{each.job.name}: {each.schedule.times}")
            if each.alone:
                self._log.say(f"warning: {each.job.name}: {each.alone}")
        self._status.plan([each.job.name for each in jobs])
        scheduler.plan(placed(jobs, os.environ, partial(self._listener, monitoring)))

    def _listener(self, monitoring: Monitoring, job: RecipeJob) -> Emit:
        """Return the listener of a job; after a reload a job with the same name keeps its listener."""
        if job.name not in self._listening:
            name = job.name
            receive = [self._log.of(name), self._status.of(name), *monitoring.of(name), *monitoring.over_all()]
            self._listening[name] = everyone([*receive, *self._events(name)], self._log.say)
        return self._listening[job.name]

    def _on_fire(self, monitoring: Monitoring, stack: ExitStack) -> Emit:
        """Return the listener for fires."""
        events = self._events("")
        for each in events:
            stack.callback(each.close)
        return everyone(
            [self._log, self._status, *([monitoring.metrics] if monitoring.metrics else []), *events], self._log.say
        )

    def _events(self, job: str) -> list[EventFile]:
        return [EventFile(Path(self._output.events), self._log.say, job=job)] if self._output.events else []

    def _answers(self, scheduler: Scheduler) -> Any:
        return {"/health": partial(health, scheduler, self._status), "/live": partial(live, scheduler)}

    def _ended(self) -> int:
        """Report the end and return the exit code: 0 after SIGTERM, unless a grace period was too short for a batch."""
        number = self._stop.signal or signal.SIGTERM
        in_time = not self._stop.cut or self._stop.hurried  # with a second SIGTERM the user asked for the cut
        graceful = number == signal.SIGTERM and in_time
        code = int(Exit.DONE if graceful else 128 + number)
        fires = ", ".join(f"{counted(many, 'fire')} {state}" for state, many in sorted(self._status.fires().items()))
        by = signal.Signals(number).name if self._stop.signal or not self._stop.asked else "a request"
        by += ", which cut a batch" if self._stop.cut else ""
        if (error := self._stop.error) is not None:  # a thread of the scheduler has ended
            code, by = int(getattr(error, "exit", Exit.FAILED)), "an error"
            self._log.say(f"error: {described(error)}")
        self._log.say(f"stopped by {by}: {fires or 'no fire was due'}")
        if self._output.as_json:
            document = {"version": __version__, "exit": code, "jobs": self._status.documents()}
            click.echo(as_json(document))
        return code


def _port(text: str) -> tuple[str, int]:
    try:
        return http_server.place(text)
    except ValueError as error:
        raise UsageError(f"--health-port: {error}") from None
