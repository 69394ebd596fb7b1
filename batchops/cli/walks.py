"""batchops walks."""

from dataclasses import asdict

import rich_click as click

from batchops.bulk.plan.strategy_texts import WAYS
from batchops.cli.help import Command


@click.command("walks", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(as_json: bool) -> None:
    """List the ways in which a purge or backfill follows rows, and what a table cannot have.

    --walk auto, the default, takes one and says why in the plan. What a table cannot have is refused with 12.
    """
    if as_json:
        import json

        click.echo(json.dumps({"walks": [{"walk": name, **asdict(way)} for name, way in WAYS.items()]}, indent=2))
        return
    for name, way in WAYS.items():
        click.echo(f"{name:8}follows  {way.follows}")
        click.echo(f"        taken    {way.taken}")
        click.echo(f"        serves   {way.verbs}; {way.databases}")
        click.echo(f"        refused  {way.without}\n")
    click.echo("A backfill without a key is refused, and nothing overrides that: a row could be updated twice.")
