"""batchops strategies."""

from dataclasses import asdict

import rich_click as click

from batchops.bulk.plan.strategy_texts import STRATEGY_TEXTS
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
            json.dumps(
                {"strategies": [{"strategy": name, **asdict(text)} for name, text in STRATEGY_TEXTS.items()]}, indent=2
            )
        )
        return
    for name, text in STRATEGY_TEXTS.items():
        click.echo(f"{name:8}order    {text.follows}")
        click.echo(f"        chosen   {text.chosen}")
        click.echo(f"        for      {text.verbs}; {text.databases}")
        click.echo(f"        refused  {text.refusal}\n")
    click.echo("A backfill needs a table with a key. No option overrides that, because a row could be updated twice.")
