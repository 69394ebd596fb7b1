"""The flags of the commands that look at an outbox, and the outbox they name."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import rich_click as click

from batchops.cli import completing
from batchops.db.connect import connect
from batchops.db.database import Database
from batchops.db.urls import address
from batchops.outboxes.beside import Beside
from batchops.outboxes.failures import Failures
from batchops.outboxes.names import PURPOSES
from batchops.outboxes.outbox import Outbox
from batchops.outboxes.understood import Chosen, find_outbox

URL = click.option("--url", metavar="URL", help="Database; else BATCHOPS_URL, DATABASE_URL.")
SCHEMA = click.option("--ledger-schema", metavar="NAME", help="Schema of the tables beside the outbox.")
TABLE = click.argument("table", default="outbox", shell_complete=completing.tables)
_MAPPED = ("id", "aggregate", "aggregate_type", "created_at", "sent")


@dataclass(frozen=True)
class Opened:
    """An outbox that was found, and the tables beside it."""

    database: Database
    outbox: Outbox
    beside: Beside
    failures: Failures


def outbox_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """TABLE, --url, --ledger-schema and the columns' names."""
    for name in reversed(_MAPPED):
        flag = "--" + name.replace("_", "-")
        function = click.option(flag, name, metavar="COLUMN", help="As for relay.")(function)
    return TABLE(URL(SCHEMA(function)))


@contextmanager
def opened(url: str | None) -> Iterator[Database]:
    """The database that --url names."""
    database = connect(address(url, os.environ))
    try:
        yield database
    finally:
        database.close()


@contextmanager
def named_outbox(table: str, url: str | None, ledger_schema: str | None, **columns: str | None) -> Iterator[Opened]:
    """The outbox; what has failed is known where the tables beside it are there."""
    with opened(url) as database:
        beside = Beside(database, ledger_schema)
        with database.reading() as connection:
            chosen = Chosen({purpose: columns.get(purpose) for purpose in PURPOSES})
            outbox = find_outbox(connection, database, table, chosen)
            failures = Failures(database, beside.failed, outbox)
            if beside.there(connection):
                failures.load(connection)
        yield Opened(database, outbox, beside, failures)
