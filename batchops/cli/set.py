"""The command batchops set."""

from collections.abc import Collection, Sequence
from typing import Any

import rich_click as click

from batchops.bulk.spec import BulkSpec
from batchops.cli.control_options import name_of, not_running, show_answers, target_flags, target_of
from batchops.cli.help import Command
from batchops.cli.ledger_options import named_ledger
from batchops.cli.options import from_spec
from batchops.errors import UsageError
from batchops.ledger.control import Answer, ask
from batchops.ledger.history import Recorded
from batchops.spec.live import LiveSpec, changeable, live_settings
from batchops.spec.models import flag_name
from batchops.spec.throttle_settings import OFF
from batchops.throttles.chosen import refuse_unoffered
from batchops.verbs import VERBS


@click.command("set", cls=Command, context_settings={"ignore_unknown_options": True})
@from_spec(LiveSpec)
@target_flags(reason=False, later=False)
def command(
    words: tuple[str, ...], job: str | None, every: bool, url: str | None, ledger: str | None,
    ledger_schema: str | None, as_json_document: bool, **options: Any,
) -> None:  # fmt: skip
    """Change settings of a run while it works.

    They stay in effect for the process that continues the run, or with --job for later runs of the job.
    --max-rows is for the process that works now.
    """
    _known(words)
    target, _ = target_of(words, job, every, reason=False)
    settings = live_settings({name: value for name, value in options.items() if value is not None})
    with named_ledger(url, ledger, ledger_schema) as opened:
        one_writer = opened.in_target and opened.database.backend.sessions.one_writer
        if opened.in_target:
            limits: dict[str, str] = settings.get("throttle", {})
            refuse_unoffered(opened.database.backend, [name for name, text in limits.items() if text != OFF])

        def possible(run: Recorded) -> None:
            _possible(run, settings, one_writer)

        answers = ask(opened, target, "set", settings=settings, possible=possible)
    show_answers(answers, "set", _line, as_json_document=as_json_document)


def _known(words: Sequence[str]) -> None:
    """Raise UsageError for an option that cannot be changed or does not exist."""
    for word in words:
        if word.startswith("-"):
            known = ", ".join(flag_name(name) for name in LiveSpec.model_fields)
            raise UsageError(
                f"{word.partition('=')[0]} cannot be changed while a run works.",
                f"these can: {known}; stop the run to start it with other options.",
            )


def _possible(run: Recorded, settings: Collection[str], one_writer: bool) -> None:
    """Raise UsageError for a setting that the verb of the run does not have."""
    if run.run.verb not in VERBS:
        raise UsageError(f"Run {run.run.run} is a scheduler: set the runs of its jobs.", "see `batchops runs`.")
    spec = VERBS[run.run.verb].spec
    lacking = [flag_name(name) for name in settings if name not in changeable(spec)]
    if lacking:
        raise UsageError(f"Run {run.run.run} is a {run.run.verb}, which has no {lacking[0]}.")
    if "workers" in settings and one_writer and issubclass(spec, BulkSpec):
        raise UsageError(f"Run {run.run.run} has one worker: the database has one writer.")


def _line(answer: Answer) -> str:
    if answer.effect != "asked":
        return not_running(answer)
    later = "" if answer.run is not None and answer.run.at_work else " No process works on it now."
    return f"{name_of(answer)} is asked to change its settings.{later}"
