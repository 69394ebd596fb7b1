"""The flags of commands that read a ledger, and the ledger that they name."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import rich_click as click

from batchops.db.database import connect
from batchops.db.urls import address
from batchops.errors import UsageError
from batchops.ledger.ledger import Ledger
from batchops.ledger.location import NONE, ledger_address

_FLAGS = (
    ("--url", "URL", "Database. Default: BATCHOPS_URL, then DATABASE_URL."),
    ("--ledger", "URL|FILE", "Where progress is kept. Default: in the target database."),
    ("--ledger-schema", "NAME", "Schema of the ledger's tables."),
)


def ledger_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags --url, --ledger and --ledger-schema to a command."""
    for name, metavar, text in reversed(_FLAGS):
        function = click.option(name, metavar=metavar, help=text)(function)
    return function


@contextmanager
def named_ledger(url: str | None, ledger: str | None, ledger_schema: str | None) -> Iterator[Ledger]:
    """Open the ledger that the flags name."""
    if ledger == NONE:
        raise UsageError("--ledger none keeps no runs that could be shown.")
    where = address(url, os.environ) if ledger is None else ledger_address(ledger, os.environ)
    with closing(connect(where)) as database:
        yield Ledger(database, ledger_schema, inside=ledger is None)
