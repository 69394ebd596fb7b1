"""batchops ledger."""

from datetime import timedelta

import rich_click as click

from batchops import durations
from batchops.cli.help import Group
from batchops.cli.ledger_options import ledger_flags, named_ledger
from batchops.errors import UsageError
from batchops.reporters.figures import counted


@click.group("ledger", cls=Group)
def command() -> None:
    """Print, make or prune the tables that progress is kept in."""


@command.command("init")
@ledger_flags
@click.option("--make", is_flag=True, help="Make the tables instead of printing their SQL.")
def init(url: str | None, ledger: str | None, ledger_schema: str | None, make: bool) -> None:
    """Print the SQL that makes the tables, for a role that may; with --make run it."""
    with named_ledger(url, ledger, ledger_schema) as opened:
        if make:
            opened.make()
            click.echo(f"The ledger's tables are in {opened.database.address.shown}.")
            return
        for statement in opened.ddl():
            click.echo(f"{statement};\n")


@command.command("prune")
@ledger_flags
@click.option("--older-than", default="90d", show_default=True, metavar="90d", help="Runs that ended before that.")
def prune(url: str | None, ledger: str | None, ledger_schema: str | None, older_than: str) -> None:
    """Forget runs that ended long ago."""
    try:
        age: timedelta = durations.parse(older_than)
    except ValueError as error:
        raise UsageError(f"--older-than: {error}") from None
    with named_ledger(url, ledger, ledger_schema) as opened:
        with opened.database.reading() as connection:
            exists = opened.exists(connection)
        forgotten = 0
        if exists:
            with opened.database.transaction() as connection:
                forgotten = opened.prune(connection, age.total_seconds())
    click.echo(f"Forgot {counted(forgotten, 'run')}.")
