"""Commands and options that there are not: what was probably meant."""

import rich_click as click

from batchops.errors import UsageError, did_you_mean
from batchops.spec.foreign_names import command_hint, option_hint


def no_command(context: click.Context, group: click.Group, name: str) -> UsageError:
    """The error for a word that is no command of the group; no verb is offered that changes rows at once."""
    from batchops.verbs import VERBS

    names = group.list_commands(context)
    asks = [name for name, verb in VERBS.items() if verb.asks]
    within = context.command_path.partition(" ")[2]
    hint = command_hint(name, within) or did_you_mean(name, names, asks) or f"see `{context.command_path} --help`."
    return UsageError(f'There is no command "{" ".join([*within.split(), name])}".', hint)


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
