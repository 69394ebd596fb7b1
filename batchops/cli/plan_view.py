"""Shows a plan to people, in lines or on a terminal."""

import sys
from collections.abc import Iterator

from batchops.reporters.figures import visible
from batchops.spec.verb import Plan


def plan_lines(plan: Plan, *, whole: bool) -> Iterator[str]:
    """Yield the plan in aligned lines; with `whole` also the server's own plans and every check that refuses."""
    yield f"{plan.verb.name} {visible(plan.label)}"
    for name, text in plan.rows(whole=whole):
        yield f"  {name:<9} {visible(text)}"


def show_plan(plan: Plan) -> None:
    """Print the plan to a terminal on stderr, with each text wrapped in its own column."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stderr, highlight=False)
    console.print(Text(f"{plan.verb.name} {visible(plan.label)}", style="bold"))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in plan.rows(whole=False):
        grid.add_row(Text(f"  {name}"), Text(visible(text), style="yellow" if name == "allowed" else ""))
    console.print(grid)
