"""batchops outbox."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import rich_click as click

from batchops.cli import completing
from batchops.cli.help import Group
from batchops.db.connect import connect
from batchops.db.database import Database
from batchops.db.urls import address
from batchops.outboxes.beside import Beside, turn_ddl
from batchops.outboxes.ddl import PAYLOADS, outbox_ddl

URL = click.option("--url", metavar="URL", help="Database; else BATCHOPS_URL, DATABASE_URL.")
SCHEMA = click.option("--ledger-schema", metavar="NAME", help="Schema of the tables beside the outbox.")


@click.group("outbox", cls=Group)
def command() -> None:
    """Make an outbox, look at it, prove its order, send events again."""


@command.command("init")
@click.argument("table", default="outbox", shell_complete=completing.tables)
@URL
@SCHEMA
@click.option(
    "--payload", type=click.Choice(PAYLOADS), default="text", show_default=True, help="What the payload's column holds."
)
@click.option("--make", is_flag=True, help="Run the SQL instead of printing it.")
def init(table: str, url: str | None, ledger_schema: str | None, payload: str, make: bool) -> None:
    """Print the SQL that makes TABLE (default: outbox), its index and the tables beside it; with --make run it."""
    with opened(url) as database:
        beside = Beside(database, ledger_schema)
        statements = [*outbox_ddl(database, table, payload), *beside.ddl(), *turn_ddl(database)]
        if not make:
            for statement in statements:
                click.echo(f"{statement};")
            return
        for statement in statements:
            with database.transaction() as connection:
                connection.exec_driver_sql(statement)
    click.echo(f"{table} can be written to and relayed.")


@contextmanager
def opened(url: str | None) -> Iterator[Database]:
    """The database that --url names."""
    database = connect(address(url, os.environ))
    try:
        yield database
    finally:
        database.close()
