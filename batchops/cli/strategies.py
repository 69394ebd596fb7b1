"""batchops strategies."""

from dataclasses import asdict

import rich_click as click

from batchops.bulk.plan.strategy_texts import STRATEGY_TEXTS
from batchops.cli.help import Command


@click.command("strategies", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(as_json: bool) -> None:
    """List the strategies of purge, backfill, and what a table cannot have.

    --strategy auto, the default, chooses one and says why in the plan. What a table cannot have is refused with 12.
    """
    if as_json:
        import json

        click.echo(
            json.dumps(
                {"strategies": [{"strategy": name, **asdict(text)} for name, text in STRATEGY_TEXTS.items()]}, indent=2
            )
        )
        return
    for name, text in STRATEGY_TEXTS.items():
        click.echo(f"{name:8}follows  {text.follows}")
        click.echo(f"        taken    {text.chosen}")
        click.echo(f"        serves   {text.verbs}; {text.databases}")
        click.echo(f"        refused  {text.refusal}\n")
    click.echo("A backfill without a key is refused, and nothing overrides that: a row could be updated twice.")
