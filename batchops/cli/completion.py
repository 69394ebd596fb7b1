"""The command batchops completion."""

import rich_click as click
from click.shell_completion import get_completion_class

from batchops.cli.help import Command

VARIABLE = "_BATCHOPS_COMPLETE"
"""The variable by which the shell asks for completions, as click names it."""


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print what makes the Tab key of SHELL complete commands, flags, tables, columns, recipes and runs.

    bash: eval "$(batchops completion bash)" in ~/.bashrc

    zsh: eval "$(batchops completion zsh)" in ~/.zshrc

    fish: batchops completion fish > ~/.config/fish/completions/batchops.fish

    Tables and columns are those of the database that --url or BATCHOPS_URL names.
    """
    kind = get_completion_class(shell)
    assert kind is not None  # click knows all three
    click.echo(kind(context.find_root().command, {}, "batchops", VARIABLE).source())
