"""The command batchops strategies."""

from dataclasses import asdict

import rich_click as click

from batchops.bulk.strategies import STRATEGIES
from batchops.cli.help import Command


@click.command("strategies", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(as_json: bool) -> None:
    """List the strategies of purge and backfill, and what each needs.

    The default, --strategy auto, chooses one, and the plan gives the reason. A strategy that the table does not
    support is refused with 12.
    """
    if as_json:
        import json

        click.echo(
            json.dumps({"strategies": [{"strategy": kind.name, **asdict(kind.text)} for kind in STRATEGIES]}, indent=2)
        )
        return
    for kind in STRATEGIES:
        text = kind.text
        click.echo(f"{kind.name:8}order    {text.follows}")
        click.echo(f"        chosen   {text.chosen}")
        click.echo(f"        for      {text.verbs}; {text.databases}")
        click.echo(f"        refused  {text.refusal}\n")
    click.echo("A backfill needs a table with a key. No option overrides that, because a row could be updated twice.")
