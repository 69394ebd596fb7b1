"""The command batchops resume."""

import rich_click as click

from batchops.cli.control_options import name_of, show_answers, target_flags, target_of
from batchops.cli.help import Command
from batchops.cli.ledger_options import named_ledger
from batchops.ledger.control import Answer, ask


@click.command("resume", cls=Command)
@target_flags(reason=False)
def command(
    words: tuple[str, ...], job: str | None, every: bool, database: bool, url: str | None, ledger: str | None,
    ledger_schema: str | None, as_json_document: bool,
) -> None:  # fmt: skip
    """Resume a run that is paused.

    This starts no process. If none is waiting, run the command of the run again.
    """
    target, _ = target_of(words, job, every, database, reason=False)
    with named_ledger(url, ledger, ledger_schema) as opened:
        answers = ask(opened, target, "resume")
    show_answers(answers, "resume", _line, as_json_document=as_json_document)


def _line(answer: Answer) -> str:
    done = "is resumed." if answer.effect == "asked" else "was not paused."
    return " ".join(part for part in (name_of(answer), done, _still(answer), _idle(answer)) if part)


def _still(answer: Answer) -> str:
    if not answer.pauses:
        return ""
    where = {"database": "--database", "job": "--job"}.get(answer.pauses[0].scope.partition(" ")[0], "RUN")
    return f"It is still {answer.pauses[0].paused} (batchops resume {where})."


def _idle(answer: Answer) -> str:
    """Return what to do if no process waits for the resume; otherwise ""."""
    if answer.run is None or answer.run.at_work or answer.effect != "asked":
        return ""
    again = f" Continue it: {answer.run.next}" if answer.run.next else ""
    return f"No process is waiting, and this starts none.{again}"
