"""The command batchops throttles."""

import os
from contextlib import closing

import rich_click as click

from batchops.cli import completion_sources
from batchops.cli.help import Command
from batchops.db.urls import address
from batchops.reporters.document import as_json, rounded
from batchops.reporters.figures import visible
from batchops.throttles.offers import offers
from batchops.throttles.probes import probe_database


@click.command("throttles", cls=Command)
@click.argument("table", required=False, shell_complete=completion_sources.tables)
@click.option("--url", metavar="URL", help="Database. Default: BATCHOPS_URL, then DATABASE_URL.")
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document on stdout.")
def command(table: str | None, url: str | None, as_document: bool) -> None:
    """List what a run on this database can wait for, each signal with its value now.

    Where the role cannot read a signal, the GRANT is shown. Some signals are about TABLE.
    """
    with closing(probe_database(address(url, os.environ))) as database:
        found = offers(database, table)
    if as_document:
        click.echo(as_json({"throttles": [rounded(one.document()) for one in found]}))
        return
    for one in found:
        click.echo(f"{one.kind.name:20}{visible(one.value) + '  ' if one.value else ''}({one.limit})")
        click.echo(f"{'':20}{one.kind.text}\n")
