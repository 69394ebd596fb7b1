"""batchops ledger."""

from datetime import timedelta

import rich_click as click

from batchops import durations
from batchops.cli.help import Group
from batchops.cli.ledger_options import ledger_flags, named_ledger
from batchops.errors import UsageError
from batchops.ledger.ledger import Ledger
from batchops.reporters.figures import counted
from batchops.schedules.fires import Fires


@click.group("ledger", cls=Group)
def command() -> None:
    """Print, make or prune the tables that progress is kept in."""


@command.command("init")
@ledger_flags
@click.option("--make", is_flag=True, help="Make the tables instead of printing their SQL.")
def init(url: str | None, ledger: str | None, ledger_schema: str | None, make: bool) -> None:
    """Print the SQL that makes the tables, for a role that may; with --make run it."""
    with named_ledger(url, ledger, ledger_schema) as opened:
        fires = Fires(opened)
        if make:
            opened.make()
            fires.tables.make()
            click.echo(f"The ledger's tables are in {opened.database.address.shown}.")
            return
        for statement in (*opened.ddl(), *fires.tables.ddl()):
            click.echo(f"{statement};\n")


@command.command("prune")
@ledger_flags
@click.option("--older-than", default="90d", show_default=True, metavar="90d", help="Runs that ended before that.")
def prune(url: str | None, ledger: str | None, ledger_schema: str | None, older_than: str) -> None:
    """Forget runs that ended long ago, and fires of schedules that ended more than 7 days ago."""
    try:
        age: timedelta = durations.parse(older_than)
    except ValueError as error:
        raise UsageError(f"--older-than: {error}") from None
    with named_ledger(url, ledger, ledger_schema) as opened:
        fires = Fires(opened)
        with opened.database.reading() as connection:
            has_runs, has_fires = opened.exists(connection), fires.tables.exists(connection)
        gone = [counted(_prune(opened, age) if has_runs else 0, "run")]
        gone += [counted(fires.prune(), "fire")] if has_fires else []
    click.echo(f"Forgot {' and '.join(gone)}.")


def _prune(ledger: Ledger, age: timedelta) -> int:
    with ledger.database.transaction() as connection:
        return ledger.prune(connection, age.total_seconds())
