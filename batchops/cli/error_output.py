"""Errors of the command line: hints for unknown commands and options, and how an error is printed."""

import os
import sys
from collections.abc import Collection, Iterator, Sequence

import rich_click as click

from batchops.errors import BatchopsError, UsageError, did_you_mean
from batchops.events import Failure, Finished
from batchops.reporters.document import as_json, document
from batchops.reporters.safe_streams import SafeStream
from batchops.reporters.step_summary import StepSummary
from batchops.reporters.summary import error_lines
from batchops.spec.foreign_names import command_hint, option_hint
from batchops.version import __version__


def report_error(group: click.Group, words: Sequence[str], error: BatchopsError, reason: str, code: int) -> None:
    """Print the error. `words` is the command line, as the parser may not have understood it."""
    failure = Failure(reason, error.message, error.hint)
    verb, table = _meant(group, words)
    finished = Finished(verb=verb, table=table, reason=reason, exit=code, version=__version__, error=failure)
    if verb:
        StepSummary(os.environ)(finished)
    if "--json" in words:
        # A recipe that cannot be run has run none of its jobs.
        jobs: dict[str, object] = {"jobs": []} if verb == "run" else {}
        SafeStream(sys.stdout).line(as_json(document(finished) | jobs))
        return
    out = SafeStream(sys.stderr)
    for line in error_lines(failure):
        out.line(line)


def _meant(group: click.Group, words: Sequence[str]) -> tuple[str, str]:
    """The verb and the table, as far as they can be told; never the value of an option, which may be a secret."""
    verb = words[0] if words and words[0] in group.list_commands(click.Context(group)) else ""
    command = group.get_command(click.Context(group), verb) if verb else None
    if command is None or not any(isinstance(p, click.Argument) and p.name == "table" for p in command.params):
        return verb, ""
    return verb, next(_plain(command, words[1:]), "")


def _plain(command: click.Command, words: Sequence[str]) -> Iterator[str]:
    """Words that are neither options nor their values; after an option that there is not, nothing is sure."""
    flags = {name: p.is_flag for p in command.params if isinstance(p, click.Option) for name in p.opts}
    rest = iter(words)
    for word in rest:
        if word == "--":
            yield from rest
        elif not word.startswith("-"):
            yield word
        elif word.startswith("--") and "=" not in word:
            if word not in flags:
                return
            if not flags[word]:
                next(rest, None)


def no_command(context: click.Context, group: click.Group, name: str) -> UsageError:
    """The error for a word that is no command of the group; no verb is offered that changes rows at once."""
    from batchops.verbs import VERBS

    names = group.list_commands(context)
    asks = [name for name, verb in VERBS.items() if verb.asks]
    within = context.command_path.partition(" ")[2]
    hint = command_hint(name, within) or did_you_mean(name, names, asks) or f"see `{context.command_path} --help`."
    return UsageError(f'There is no command "{" ".join([*within.split(), name])}".', hint)


def no_command_behind(verb: str, name: str, names: Collection[str]) -> UsageError:
    """The error for two words behind a verb, where the first is none of its commands."""
    others = f"behind {verb} come {', '.join(sorted(names))}, or one table and options."
    return UsageError(f'There is no command "{verb} {name}".', did_you_mean(name, sorted(names)) or others)


def usage_error(error: click.ClickException) -> UsageError:
    """What click found, with a hint."""
    context: click.Context | None = getattr(error, "ctx", None)
    see = f"see `{context.command_path if context else 'batchops'} --help`."
    if context is None or not isinstance(error, click.NoSuchOption):
        return UsageError(error.format_message(), see)
    having = {name for param in context.command.params if isinstance(param, click.Option) for name in param.opts}
    after = isinstance(context.command, click.Group) and "options come after the command that they are for."
    hint = option_hint(error.option_name, having) or did_you_mean(error.option_name, having) or after or see
    return UsageError(f'{context.command_path} has no option "{error.option_name}".', hint)
