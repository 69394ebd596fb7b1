"""Errors of the command line: prints them, and finds hints for unknown commands and options."""

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

import rich_click as click

from batchops.errors import BatchopsError, UsageError, did_you_mean
from batchops.events import Failure, Finished
from batchops.reporters.document import as_json, document
from batchops.reporters.safe_streams import SafeStream
from batchops.reporters.step_summary import StepSummary
from batchops.reporters.summary import error_lines
from batchops.spec.foreign_names import command_hint, option_hint
from batchops.verbs import BEHIND_VERBS
from batchops.version import __version__


def report_error(group: click.Group, words: Sequence[str], error: BatchopsError, reason: str, code: int) -> None:
    """Print the error. `words` is the command line, which the parser may have rejected."""
    failure = Failure(reason, error.message, error.hint)
    verb, table = _verb_and_table(group, words)
    finished = Finished(verb=verb, table=table, reason=reason, exit=code, version=__version__, error=failure)
    if verb:
        StepSummary(os.environ)(finished)
    if "--json" in words or "--format=json" in words or ("--format", "json") in pairwise(words):
        # If the recipe cannot be run, none of its jobs has run.
        jobs: dict[str, object] = {"jobs": []} if verb == "run" else {}
        SafeStream(sys.stdout).line(as_json(document(finished) | jobs))
        return
    out = SafeStream(sys.stderr)
    for line in error_lines(failure):
        out.line(line)


def _verb_and_table(group: click.Group, words: Sequence[str]) -> tuple[str, str]:
    """Return the verb and the table, or "" for what is not clear; never an option's value, which may be secret."""
    verb = words[0] if words and words[0] in group.list_commands(click.Context(group)) else ""
    command = group.get_command(click.Context(group), verb) if verb else None
    if words[1:2] and words[1] in BEHIND_VERBS.get(verb, ()):
        return verb, ""
    if command is None or not any(isinstance(p, click.Argument) and p.name == "table" for p in command.params):
        return verb, ""
    return verb, next(_plain_words(command, words[1:]), "")


def _plain_words(command: click.Command, words: Sequence[str]) -> Iterator[str]:
    """Yield the words that are neither options nor their values, up to an unknown option, which may have a value."""
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
    """Return the error for an unknown command of a group; its hint offers no verb that changes rows at once."""
    from batchops.verbs import VERBS

    names = group.list_commands(context)
    asks = [name for name, verb in VERBS.items() if verb.asks]
    within = context.command_path.partition(" ")[2]
    hint = command_hint(name, within) or did_you_mean(name, names, asks) or f"see `{context.command_path} --help`."
    return UsageError(f'There is no command "{" ".join([*within.split(), name])}".', hint)


def no_command_behind(verb: str, name: str, names: Collection[str]) -> UsageError:
    """Return the error for two words after a verb, if the first is not one of its commands."""
    others = f"behind {verb} come {', '.join(sorted(names))}, or one table and options."
    return UsageError(f'There is no command "{verb} {name}".', did_you_mean(name, sorted(names)) or others)


def usage_error(error: click.ClickException) -> UsageError:
    """Return click's error as a UsageError with a hint."""
    context: click.Context | None = getattr(error, "ctx", None)
    see = f"see `{context.command_path if context else 'batchops'} --help`."
    if context is None or not isinstance(error, click.NoSuchOption):
        return UsageError(error.format_message(), see)
    having = {name for param in context.command.params if isinstance(param, click.Option) for name in param.opts}
    after = isinstance(context.command, click.Group) and "options come after the command that they are for."
    hint = option_hint(error.option_name, having) or did_you_mean(error.option_name, having) or after or see
    return UsageError(f'{context.command_path} has no option "{error.option_name}".', hint)
