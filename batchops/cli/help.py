"""What every command's help has in common: the exit codes, as a table below its options."""

from typing import Any

import rich_click as click

from batchops.errors import EXIT_MEANINGS


class Command(click.RichCommand):
    """A command whose help ends with the exit codes."""

    def format_epilog(self, ctx: click.RichContext, formatter: Any) -> None:  # type: ignore[override]  # as rich-click's
        exit_codes(formatter)
        super().format_epilog(ctx, formatter)


class Group(click.RichGroup):
    """A group whose help, and whose commands' help, ends with the exit codes."""

    command_class = Command

    def format_epilog(self, ctx: click.RichContext, formatter: Any) -> None:  # type: ignore[override]  # as rich-click's
        exit_codes(formatter)
        super().format_epilog(ctx, formatter)


def exit_codes(formatter: Any) -> None:
    """Writes the table."""
    from rich.panel import Panel
    from rich.table import Table

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(justify="right", style="bold cyan", no_wrap=True)
    grid.add_column()
    for code, meaning in EXIT_MEANINGS.items():
        grid.add_row(str(code.value), meaning)
    formatter.write(Panel(grid, title="Exit codes", title_align="left", border_style="dim"))
