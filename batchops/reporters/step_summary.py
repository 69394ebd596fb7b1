"""StepSummary: a table of what was done, which GitHub Actions shows on the page of the workflow's run."""

import html
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from batchops import durations
from batchops.events import Event, Finished
from batchops.reporters import figures
from batchops.reporters.summary import in_one_line, why

VARIABLE = "GITHUB_STEP_SUMMARY"
"""The environment variable that names the file of the table; GitHub Actions sets it for each step."""
_HEAD = "| job | ended | exit | rows | batches | time |\n|---|---|--:|--:|--:|--:|\n"


class StepSummary:
    """Appends the table when the run has finished."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __call__(self, event: Event) -> None:
        if isinstance(event, Finished):
            append(self._environ, [(f"{event.verb} {event.table}", event, "")])


def append(environ: Mapping[str, str], rows: Sequence[tuple[str, Finished | None, str]]) -> None:
    """Append a table with a row for each job: its name, its end, why it was skipped. Nothing outside GitHub Actions.

    An error while writing the file is ignored, as the work is already done.
    """
    place = environ.get(VARIABLE)
    if not place or not rows:
        return
    text = "### batchops\n\n" + _HEAD + "".join(_row(*row) for row in rows) + "\n"
    with suppress(OSError), Path(place).open("a", encoding="utf-8") as file:
        file.write(text)


def is_there(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a step of GitHub Actions is running."""
    return bool(environ.get(VARIABLE))


def _row(name: str, finished: Finished | None, skipped: str) -> str:
    if finished is None:
        return f"| {_cell(name)} | skipped: {_cell(skipped)} | | | | |\n"
    ended = why(finished)
    if finished.error is not None:
        ended += f": {in_one_line(finished.error)}"
    rows, batches = figures.count(finished.rows), figures.count(finished.batches)
    time = durations.show(finished.seconds)
    return f"| {_cell(name)} | {_cell(ended)} | {finished.exit} | {rows} | {batches} | {time} |\n"


def _cell(text: str) -> str:
    """Return foreign text for one cell, with markup and the characters of tables escaped."""
    plain = html.escape(figures.visible(text), quote=False)
    return "".join("\\" + letter if letter in "|*_`[]<>\\#!~" else letter for letter in plain)
