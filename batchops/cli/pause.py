"""The command batchops pause."""

import rich_click as click

from batchops.cli.control_options import name_of, show_answers, target_flags, target_of
from batchops.cli.help import Command
from batchops.cli.ledger_options import named_ledger
from batchops.ledger.control import Answer, ask


@click.command("pause", cls=Command)
@target_flags()
def command(
    words: tuple[str, ...], job: str | None, every: bool, database: bool, url: str | None, ledger: str | None,
    ledger_schema: str | None, as_json_document: bool,
) -> None:  # fmt: skip
    """Pause a run: it does no further batch until `batchops resume`.

    A run reads this with its heartbeat, every 5 seconds. A pause outlives the process: the next process of the run
    starts paused.
    """
    target, reason = target_of(words, job, every, database)
    with named_ledger(url, ledger, ledger_schema) as opened:
        answers = ask(opened, target, "pause", reason)
    show_answers(answers, "pause", _line, as_json_document=as_json_document)


def _line(answer: Answer) -> str:
    if answer.run is None or answer.scope.startswith("job "):
        return f"{name_of(answer)} is paused, and so are later runs."
    if not answer.run.at_work:
        return f"{name_of(answer)} is paused. No process works on it now; one that continues it starts paused."
    return f"{name_of(answer)} is paused."
