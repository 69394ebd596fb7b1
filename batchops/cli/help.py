"""The command batchops help, and the line about exit codes below every command's help."""

import re
import sys
from importlib.resources import files
from typing import Any

import rich_click as click
from click.shell_completion import CompletionItem

from batchops.errors import UsageError, did_you_mean

_WIDEST = 100
"""The most columns of a paragraph; wider ones are hard to read."""
_LINK = re.compile(r"\[([^]]+)]\([^)]*\)")


class Command(click.RichCommand):
    """A command whose help ends with a line that names the topic of exit codes."""

    def format_epilog(self, ctx: click.RichContext, formatter: Any) -> None:  # type: ignore[override]  # as rich-click's
        super().format_epilog(ctx, formatter)
        _exit_codes(formatter, after_epilog=bool(self.epilog))


class Group(click.RichGroup):
    """A group whose help, like that of its commands, ends with a line that names the topic of exit codes."""

    command_class = Command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command as click does, but raise an error with a hint for an unknown one."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-") and not ctx.resilient_parsing:
            from batchops.cli.error_output import no_command

            raise no_command(ctx, self, args[0])
        return super().resolve_command(ctx, args)

    def format_epilog(self, ctx: click.RichContext, formatter: Any) -> None:  # type: ignore[override]  # as rich-click's
        super().format_epilog(ctx, formatter)
        _exit_codes(formatter, after_epilog=bool(self.epilog))


def _exit_codes(formatter: Any, *, after_epilog: bool) -> None:
    formatter.write(("" if after_epilog else "\n") + " Exit codes: batchops help exit-codes")


def _names(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in topics() if name.startswith(begun)]


@click.command("help", cls=Command)
@click.argument("topic", required=False, shell_complete=_names)
@click.pass_context
def command(context: click.Context, topic: str | None) -> None:
    """Explain TOPIC, or list the topics.

    On a terminal the text is formatted. In a pipe it is Markdown.
    """
    texts = topics()
    if topic is None:
        click.echo("Topics, each shown by: batchops help TOPIC\n")
        for name, text in texts.items():
            click.echo(f"  {name:<{max(map(len, texts))}}  {title(text)}")
        click.echo("\nOptions of a command: batchops COMMAND --help")
        return
    if topic not in texts:
        raise UsageError(f'There is no help topic "{topic}".', _hint(context, topic, list(texts)))
    show(_LINK.sub(r"\1", texts[topic]))


def topics() -> dict[str, str]:
    """Return the Markdown texts by topic, in alphabetical order."""
    found = (files("batchops") / "help").iterdir()
    texts = {file.name.removesuffix(".md"): file.read_text("utf-8") for file in found if file.name.endswith(".md")}
    return dict(sorted(texts.items()))


def title(text: str) -> str:
    """Return the text of the first heading."""
    return text.splitlines()[0].removeprefix("# ")


def show(text: str) -> None:
    """Print Markdown: formatted on a terminal, unchanged in a pipe."""
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    console.print(Markdown(text, code_theme="ansi_dark"), width=min(console.width, _WIDEST))


def _hint(context: click.Context, topic: str, names: list[str]) -> str:
    root = context.find_root().command
    if isinstance(root, click.Group) and topic in root.list_commands(context):
        return f"see `batchops {topic} --help`."
    return did_you_mean(topic, names) or "see `batchops help`."
