"""open_monitoring(): the listeners that the monitoring flags ask for: metrics for Prometheus, pings."""

import os
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from batchops.cli.command_state import command_state
from batchops.db.url_references import fetch, is_reference
from batchops.errors import BatchopsError, UsageError
from batchops.events import Emit, Failure, Finished
from batchops.reporters import everyone
from batchops.reporters.safe_streams import SafeStream
from batchops.runtime.threads import described
from batchops.version import __version__

if TYPE_CHECKING:
    from batchops.reporters.metrics import Metrics
    from batchops.reporters.pings import PingSender

_OF_A_JOB = re.compile(r"([\w.-]+)=(?=(https?|env|file|cmd):)", re.ASCII)


class MonitoringFlags(Protocol):
    """The monitoring flags."""

    @property
    def dry_run(self) -> bool: ...
    @property
    def metrics_file(self) -> str | None: ...
    @property
    def metrics_port(self) -> str | None: ...
    @property
    def ping(self) -> tuple[str, ...]: ...


class Monitoring:
    """The monitoring listeners of a command."""

    def __init__(self, metrics: "Metrics | None", post: "PingSender | None", urls: Sequence[tuple[str, str]]) -> None:
        self.metrics, self._post, self._urls = metrics, post, urls

    def of(self, job: str) -> list[Emit]:
        """Return the listeners for one of several jobs."""
        figures: list[Emit] = [self.metrics.of(job)] if self.metrics else []
        return figures + (self._pings(job) if job else [])

    def whole(self, job: str = "") -> list[Emit]:
        """Return the listeners for the only job."""
        return self.of(job) + self._pings("")

    def over_all(self) -> list[Emit]:
        """Return the listeners for several jobs as a whole."""
        return self._pings("")

    def _pings(self, job: str) -> list[Emit]:
        if self._post is None:
            return []
        from batchops.reporters.pings import Pings

        return [Pings(url, self._post) for name, url in self._urls if name == job]


@contextmanager
def open_monitoring(wanted: MonitoringFlags, jobs: Collection[str] = ()) -> Iterator[Monitoring]:
    """Open the listeners that the flags name; none for a dry run."""
    if wanted.dry_run or not (wanted.metrics_file or wanted.metrics_port or wanted.ping):
        yield Monitoring(None, None, ())
        return
    with ExitStack() as stack:
        urls = [_ping(text, jobs) for text in wanted.ping]
        post = stack.enter_context(_post()) if urls else None
        yield Monitoring(_metrics(wanted, stack), post, urls)


@contextmanager
def report_failure(monitoring: Sequence[Emit], verb: str, table: str) -> Iterator[None]:
    """If an error ends the block before the run has begun, report it to the listeners as the end of a run."""
    command_state().planning = True
    try:
        yield
    except Exception as error:
        if command_state().code is None:
            everyone(list(monitoring), _say)(_not_begun(verb, table, error))
        raise


def _not_begun(verb: str, table: str, error: Exception) -> Finished:
    if not isinstance(error, BatchopsError):
        error = BatchopsError(described(error), "this is a bug; BATCHOPS_DEBUG=1 shows where.")
    failure = Failure(error.reason, error.message, error.hint)
    return Finished(verb, table, error.reason, int(error.exit), __version__, error=failure)


def _metrics(wanted: MonitoringFlags, stack: ExitStack) -> "Metrics | None":
    if not (wanted.metrics_file or wanted.metrics_port):
        return None
    from batchops.reporters.http_server import place, serving
    from batchops.reporters.metrics import Metrics

    metrics = Metrics(_say, Path(wanted.metrics_file) if wanted.metrics_file else None)
    if wanted.metrics_port:
        try:
            at = place(wanted.metrics_port)
        except ValueError as error:
            raise UsageError(f"--metrics-port: {error}") from None
        stack.enter_context(serving(at, {"/metrics": metrics.page}, _say))
    return metrics


@contextmanager
def _post() -> "Iterator[PingSender]":
    from batchops.reporters.pings import PingSender

    post = PingSender(_say)
    try:
        yield post
    finally:
        post.close()


def _ping(text: str, jobs: Collection[str]) -> tuple[str, str]:
    """Return the job of a ping, "" for all jobs, and its URL."""
    from batchops.reporters.pings import ping_url

    named = _OF_A_JOB.match(text)
    job, url = (named.group(1), text[named.end() :]) if named else ("", text)
    if job and job not in jobs:
        raise UsageError(f'--ping: there is no job "{job}".')
    if is_reference(url):
        url = fetch(url, os.environ, "URL to ping").text
    return job, ping_url(url)


def _say(text: str) -> None:
    SafeStream(sys.stderr).line(text)
