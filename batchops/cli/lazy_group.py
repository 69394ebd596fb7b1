"""LazyGroup: a group of commands that imports each command only when it is used."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import rich_click as click

from batchops.cli.help import Group
from batchops.verbs import BEHIND_VERBS, VERBS


class LazyGroup(Group):
    """`commands_by_name` maps names to lines in the help; names that are not verbs are modules of `batchops.cli`."""

    def __init__(self, *args: Any, commands_by_name: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lines = commands_by_name
        self._listing = False

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(self._lines)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        if name not in self._lines:
            return None
        if self._listing:
            return click.RichCommand(name=name, help=self._lines[name])
        if name in VERBS:
            from batchops.cli.execute import command_for

            return command_for(VERBS[name])
        command = import_module(f"batchops.cli.{name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command; a verb with commands of its own is their group only if one of them follows it."""
        if len(args) > 1 and args[1] in BEHIND_VERBS.get(args[0], ()):
            return args[0], import_module(f"batchops.cli.{args[0]}").command, args[1:]
        if args[0] in BEHIND_VERBS and len(args) > 2 and not any(word.startswith("-") for word in args[1:3]):
            from batchops.cli.error_output import no_command_behind  # a verb takes one table

            raise no_command_behind(args[0], args[1], BEHIND_VERBS[args[0]])
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> Any:
        """Complete names without importing the commands: only their lines are needed."""
        self._listing = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self._listing = False

    def format_help(self, ctx: click.RichContext, formatter: Any) -> None:  # type: ignore[override]  # rich-click's own
        """Write the help without importing the commands: only their lines are needed."""
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False
