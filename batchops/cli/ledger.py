"""The commands batchops ledger init and prune."""

from datetime import timedelta

import rich_click as click

from batchops import durations
from batchops.cli.help import Group
from batchops.cli.ledger_options import ledger_flags, named_ledger
from batchops.errors import UsageError
from batchops.ledger.pruning import prune as forget
from batchops.ledger.row_lists import drop_unneeded
from batchops.reporters.figures import counted
from batchops.scheduler.fires import Fires


@click.group("ledger", cls=Group)
def command() -> None:
    """Print, create or prune the tables of the ledger."""


@command.command("init")
@ledger_flags
@click.option("--apply", is_flag=True, help="Run the SQL instead of printing it.")
def init(url: str | None, ledger: str | None, ledger_schema: str | None, apply: bool) -> None:
    """Print the SQL that creates or updates the tables of the ledger. --apply runs it."""
    with named_ledger(url, ledger, ledger_schema) as opened:
        fires = Fires(opened)
        if apply:
            opened.make()
            fires.tables.make()
            click.echo(f"The ledger's tables are in {opened.database.address.shown}.")
            return
        missing = (*opened.ddl(), *fires.tables.ddl())
        for statement in missing:
            click.echo(f"{statement};\n")
        if not missing:
            click.echo("-- The ledger's tables are all there and up to date.")


@command.command("prune")
@ledger_flags
@click.option("--older-than", default="90d", show_default=True, metavar="90d", help="Age of the runs to remove.")
def prune(url: str | None, ledger: str | None, ledger_schema: str | None, older_than: str) -> None:
    """Remove old runs, and fires of schedules that ended more than 7 days ago.

    The last run of a backfill that is not repeatable is kept.
    """
    try:
        age: timedelta = durations.parse(older_than)
    except ValueError as error:
        raise UsageError(f"--older-than: {error}") from None
    with named_ledger(url, ledger, ledger_schema) as opened:
        fires = Fires(opened)
        with opened.database.reading() as connection:
            status, has_fires = opened.state(connection), fires.tables.exists(connection)
        if status == "older":
            opened.make()
        gone = [counted(0 if status == "absent" else forget(opened, age.total_seconds()), "run")]
        gone += [counted(fires.prune(), "fire")] if has_fires else []
        lists = drop_unneeded(opened) if status != "absent" else 0
        gone += [counted(lists, "list of rows", "lists of rows")] if lists else []
    click.echo(f"Forgot {' and '.join(gone)}.")
