"""Finds out what archiving to another database would do, before anything is written."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

import sqlalchemy as sa

from batchops.archive.column_match import Matched, match
from batchops.archive.numbers import unique_columns
from batchops.archive.records import ArchivedTable
from batchops.bulk.archiving.spec import ArchiveSpec
from batchops.bulk.archiving.target import OtherTable
from batchops.bulk.archiving.to_database import DatabaseArchive
from batchops.bulk.archiving.to_table import KEEPS
from batchops.bulk.rows_out import Preparing
from batchops.db.catalog import Server
from batchops.db.database import Database, connect
from batchops.db.exact_columns import ExactColumn, refused
from batchops.db.facts import TableFacts
from batchops.db.lookup import find_table
from batchops.db.sessions import Timeouts
from batchops.db.table import Table
from batchops.db.urls import address
from batchops.errors import NotFoundError, RefusedError, UsageError
from batchops.runtime.refusal import Refusal


def database_archive(
    preparing: Preparing, spec: ArchiveSpec, target: OtherTable, columns: Sequence[ExactColumn],
    environ: Mapping[str, str],
) -> DatabaseArchive:  # fmt: skip
    """Return the planned archive in another database."""
    found, source = preparing.found, preparing.database
    where = address(target.url, environ)
    timeouts = Timeouts(spec.lock_timeout.total_seconds(), spec.statement_timeout.total_seconds())
    with closing(connect(where, timeouts)) as other, other.reading() as connection:
        server, into = _table_there(preparing, other, connection, target)
        there = other.backend.exact_columns.columns(connection, into)
        archived = ArchivedTable(
            found.table.label, tuple(columns), found.table.known_by, source.backend.exact_columns.family
        )
        matched, refusals = match(archived, into, there, other.backend.row_loading)
        key = into.key_within([one.archived.name for one in matched.columns])
        facts = other.backend.facts.of(connection, into)
        refusals += _refusals(preparing, other, connection, into, facts, matched, key, columns)
        if (unwritable := server.refusal(where.shown)) is not None:
            raise RefusedError(unwritable.message, unwritable.hint)
    to = "to", f"table {into.label} of {where.name}"
    order = "order", "committed there and read back, then deleted here as they were read; no row is locked meanwhile"
    crash = (
        "After a crash between the two commits, rows of the last batch are in both tables; the same command ends it."
    )
    return DatabaseArchive(
        found.table,
        where,
        timeouts,
        spec.workers,
        into,
        matched,
        key,
        tuple(columns),
        target.shown,
        unique_columns(into, facts),
        (to, KEEPS if spec.keep else order),
        refusals,
        () if spec.keep else (crash,),
    )  # fmt: skip


def _table_there(
    preparing: Preparing, other: Database, connection: sa.Connection, target: OtherTable
) -> tuple[Server, Table]:  # fmt: skip
    """Return the other server, and the table; UsageError if it is the same database, or has no such table."""
    found, server = preparing.found, other.backend.catalog.server(connection)
    if server.identity == found.server.identity:
        raise UsageError(f"--to {target.shown} is in the same database.", f"name the table alone: {target.name}.")
    try:
        return server, find_table(connection, other.backend, target.name)
    except NotFoundError as error:
        raise UsageError(f"--to: {error.message}", f'make it there like "{found.table.label}".') from error


def _refusals(
    preparing: Preparing, other: Database, connection: sa.Connection, into: Table, there: TableFacts, matched: Matched,
    key: Sequence[str], columns: Sequence[ExactColumn],
) -> Iterator[Refusal]:  # fmt: skip
    facts, table = preparing.found.facts, preparing.found.table
    if not (facts.transactional and there.transactional):
        yield Refusal(
            "engine", "One of the two tables does not support transactions: what is deleted cannot be rolled back.",
            "ALTER TABLE … ENGINE=InnoDB.",
        )  # fmt: skip
    for name in matched.dropped:
        yield Refusal(
            "destination", f'"{into.label}" has no column "{name}".', "add it, or leave it out with --columns."
        )
    if not key:
        yield Refusal(
            "destination", f'"{into.label}" has no key among the archived columns: what is there could not be told.',
            "give it the primary key of the table here.",
        )  # fmt: skip
    if what := other.backend.row_moves.changes(connection, into):
        yield Refusal(
            "destination", f'{what} of "{into.label}" may change the rows that arrive.', "name a table without one."
        )
    for why in refused(columns):
        yield Refusal("inexact", f"A column cannot be archived exactly: {why}.", "leave it out with --columns.")
    if why := preparing.database.backend.row_lines.obstacle(preparing.connection, table, columns):
        yield Refusal("inexact", f'Rows of "{table.label}" cannot be archived: {why}.', "")
