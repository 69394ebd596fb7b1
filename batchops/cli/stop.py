"""batchops stop."""

import rich_click as click

from batchops.cli.control_options import name_of, not_running, show_answers, target_flags, target_of
from batchops.cli.help import Command
from batchops.cli.ledger_options import named_ledger
from batchops.ledger.control import Answer, ask


@click.command("stop", cls=Command)
@target_flags(later=False)
def command(
    words: tuple[str, ...], job: str | None, every: bool, url: str | None, ledger: str | None,
    ledger_schema: str | None, as_json_document: bool,
) -> None:  # fmt: skip
    """Stop a run after the batch in progress. It can be continued.

    The process ends with the reason `stopped` and exit code 0. A later process continues the run.
    """
    target, reason = target_of(words, job, every)
    with named_ledger(url, ledger, ledger_schema) as opened:
        answers = ask(opened, target, "stop", reason)
    show_answers(answers, "stop", _line, as_json_document=as_json_document)


def _line(answer: Answer) -> str:
    if answer.effect != "asked":
        return not_running(answer)
    return f"{name_of(answer)} is asked to stop; it ends after the batch in progress."
