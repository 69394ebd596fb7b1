"""The arguments and the output that pause, resume, stop, cancel and set share."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import rich_click as click

from batchops.cli import completion_sources
from batchops.cli.ledger_options import ledger_flags, named_ledger
from batchops.cli.run_view import NAME, request_document
from batchops.errors import UsageError
from batchops.ledger.control import Answer, Target, ask
from batchops.reporters.document import as_json
from batchops.reporters.figures import visible

_JOB = "The job of a recipe, or of the run with that number: this run and all later ones."
_ALL = "Every run that is at work now."
_DATABASE = "Every run whose progress is in this ledger, now and later."


def target_flags(*, reason: bool = True, later: bool = True) -> Callable[[Any], Any]:
    """Return a decorator for the arguments and flags that name runs.

    `reason`: also an argument for the reason. `later`: also a flag for runs that have not begun yet.
    """
    words = f"[{NAME}] [REASON]" if reason else f"[{NAME}]"

    def decorate(function: Any) -> Any:
        function = click.option("--json", "as_json_document", is_flag=True, help="Print one JSON document on stdout.")(
            function
        )
        function = ledger_flags(function)
        if later:
            function = click.option("--database", is_flag=True, help=_DATABASE)(function)
        function = click.option("--all", "every", is_flag=True, help=_ALL)(function)
        function = click.option("--job", metavar="JOB|RUN", help=_JOB)(function)
        return click.argument("words", nargs=-1, metavar=words, shell_complete=completion_sources.runs)(function)

    return decorate


def target_of(
    words: Sequence[str], job: str | None, every: bool, database: bool = False, *, reason: bool = True
) -> tuple[Target, str]:
    """Return the target that the words and flags name, and the reason."""
    given = [name for name, value in (("--job", job), ("--all", every), ("--database", database)) if value]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other.")
    left = list(words)
    run = left.pop(0) if left and not given else None
    if run is None and not given:
        raise UsageError("No run is named.", "name a run, a table or a job; or use --job or --all.")
    if len(left) > int(reason):
        raise UsageError(f'"{left[int(reason)]}" is one argument too many.', "put a reason of several words in quotes.")
    return Target(run, job, every, database), left[0] if left else ""


def show_answers(
    answers: Sequence[Answer], action: str, line: Callable[[Answer], str], *, as_json_document: bool
) -> None:
    """Print the results of the requests: a line for each run, or one document."""
    if as_json_document:
        click.echo(as_json({"action": action, "runs": [_document(one) for one in answers]}))
        return
    for one in answers:
        click.echo(visible(line(one)))
    if not answers:
        click.echo("No run is at work.")


def ask_to_end(
    action: Literal["stop", "cancel"], said: str, *, words: Sequence[str], job: str | None, every: bool,
    url: str | None, ledger: str | None, ledger_schema: str | None, as_json_document: bool,
) -> None:  # fmt: skip
    """Ask the processes of the named runs to end, and print each answer; `said`: the text for a run that was asked."""
    target, reason = target_of(words, job, every)
    with named_ledger(url, ledger, ledger_schema) as opened:
        answers = ask(opened, target, action, reason)

    def line(answer: Answer) -> str:
        return not_running(answer) if answer.effect != "asked" else f"{name_of(answer)} {said}"

    show_answers(answers, action, line, as_json_document=as_json_document)


def name_of(answer: Answer) -> str:
    """Return the name of the run or job: Run 7 (purge events)."""
    if answer.run is None:
        return "Every run with this ledger"
    run = answer.run.run
    if answer.scope.startswith("job "):
        return f"Job {run.by.get('job') or f'of run {run.run}'} ({run.verb} {run.table})"
    return f"Run {run.run} ({run.verb} {run.table})"


def not_running(answer: Answer) -> str:
    """Return the message for a run on which no process works."""
    state = answer.run.state if answer.run is not None else ""
    return f"{name_of(answer)} is not running: {state}."


def _document(answer: Answer) -> dict[str, Any]:
    run = answer.run.run if answer.run is not None else None
    return {
        "run": run.run if run is not None else None,
        "verb": run.verb if run is not None else None,
        "table": run.table if run is not None else None,
        "job": (run.by.get("job") or None) if run is not None else None,
        "state": answer.run.state if answer.run is not None else None,
        "scope": answer.scope.partition(" ")[0],
        "effect": answer.effect,
        "paused": [request_document(pause) for pause in answer.pauses],
    }
