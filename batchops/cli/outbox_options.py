"""The flags of commands that read an outbox, and the outbox that they name."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import rich_click as click

from batchops.cli import completion_sources
from batchops.cli.options import from_spec
from batchops.db.database import Database, connect
from batchops.db.urls import address
from batchops.outbox.columns import PURPOSES
from batchops.outbox.failures import RefusedEvents
from batchops.outbox.outbox import Outbox
from batchops.outbox.resolve import Chosen, find_outbox
from batchops.outbox.resolve_sent import choice_of
from batchops.outbox.spec import RelaySpec
from batchops.outbox.tables import OutboxTables

URL = click.option("--url", metavar="URL", help="Database. Default: BATCHOPS_URL, then DATABASE_URL.")
SCHEMA = click.option("--ledger-schema", metavar="NAME", help="Schema of the helper tables of the outbox.")
TABLE = click.argument("table", default="outbox", shell_complete=completion_sources.tables)
_MAPPED = (
    "id", "order", "aggregate_id", "aggregate_type", "created_at",
    "sent", "unsent_value", "sent_value", "sent_as", "sent_time",
)  # fmt: skip


@dataclass(frozen=True)
class OpenedOutbox:
    """An outbox with its helper tables."""

    database: Database
    outbox: Outbox
    tables: OutboxTables
    failures: RefusedEvents


def outbox_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument TABLE and the flags --url, --ledger-schema and those of columns to a command."""
    flags: Callable[..., Any] = TABLE(URL(SCHEMA(from_spec(RelaySpec, only=_MAPPED)(function))))
    return flags


def opened(url: str | None) -> closing[Database]:
    """Return the database that --url names, for a with statement."""
    return closing(connect(address(url, os.environ)))


def _several(order: str | None) -> tuple[str, ...] | None:
    return None if order is None else tuple(name.strip() for name in order.split(","))


@contextmanager
def named_outbox(table: str, url: str | None, ledger_schema: str | None, **named: Any) -> Iterator[OpenedOutbox]:
    """Open the outbox that the flags name; refused events are loaded if the helper tables exist."""
    with opened(url) as database:
        tables = OutboxTables(database, ledger_schema)
        with database.reading() as connection:
            columns = {purpose: named.get(purpose) for purpose in PURPOSES}
            chosen = Chosen(columns, order=_several(named.get("order")), sent=choice_of(named))
            outbox = find_outbox(connection, database, table, chosen)
            failures = RefusedEvents(database, tables.failed, outbox)
            if tables.there(connection):
                failures.load(connection)
        yield OpenedOutbox(database, outbox, tables, failures)
