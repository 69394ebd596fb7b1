"""The commands batchops queue init, show and redrive."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from typing import Any

import rich_click as click

from batchops import durations
from batchops.cli import completion_sources
from batchops.cli.help import Group
from batchops.db.database import Database, connect
from batchops.db.lookup import find_table
from batchops.db.urls import address
from batchops.errors import UsageError
from batchops.queue.failed_rows import FailedRow, FailedRows, key_text, keys_of
from batchops.queue.leases.column_names import LeaseColumns
from batchops.queue.leases.ddl import column_ddl, reuse_columns, table_ddl
from batchops.queue.resolve import place_of, queue_of, time_column, without_place
from batchops.queue.spec import DrainSpec
from batchops.queue.status import QueueStatus
from batchops.reporters.document import as_json
from batchops.reporters.figures import count, counted, visible
from batchops.spec.models import checked

NAMED = 20
"""How many rows a dry run of redrive lists."""
_FLAGS = (
    ("--url", {"metavar": "URL", "help": "Database. Default: BATCHOPS_URL, then DATABASE_URL."}),
    (
        "--lease-in",
        {
            "type": click.Choice(["auto", "columns", "table"]),
            "default": "auto",
            "help": "Where leases are kept: columns of the table, or the table batchops_row_lease. Default: what "
            "exists.",
        },
    ),
    ("--lease-prefix", {"metavar": "PREFIX", "default": "", "help": "Prefix of the lease columns, as for drain."}),
)


def _flags(function: Callable[..., Any]) -> Callable[..., Any]:
    for name, settings in reversed(_FLAGS):
        function = click.option(name, **settings)(function)
    return click.argument("table", shell_complete=completion_sources.tables)(function)


@click.group("queue", cls=Group)
def command() -> None:
    """Prepare a table for drain, show its state, redrive failed rows."""


@command.command("init")
@_flags
@click.option("--claimed", is_flag=True, help="Also add the column before_claim, which drain --claimed needs.")
@click.option("--apply", is_flag=True, help="Run the SQL instead of printing it.")
def init(table: str, url: str | None, lease_in: str, lease_prefix: str, claimed: bool, apply: bool) -> None:
    """Print the SQL that adds the lease columns or the lease table for TABLE. --apply runs it.

    batchops names existing columns with these names, and uses them if their types fit.
    """
    with _database(url) as database:
        names = LeaseColumns(lease_prefix, claimed)
        with database.reading() as connection:
            found = find_table(connection, database.backend, table)
            taken = [] if lease_in == "table" else list(reuse_columns(connection, database, found, names))
            statements = list(
                table_ddl(connection, database) if lease_in == "table" else column_ddl(database, found, names)
            )
        for text in taken:
            click.echo(visible(text) if apply else f"-- {visible(text)}")
        if apply:
            for statement in statements:
                with database.transaction() as connection:
                    connection.exec_driver_sql(statement)
            click.echo(f"{found.label} can be drained." if statements else f"{found.label} has what it needs.")
            return
        for statement in statements:
            click.echo(f"{statement};")


@command.command("show")
@_flags
@click.option("--where", metavar="SQL", help="SQL condition of the pending rows, as for drain.")
@click.option("--by", metavar="COLUMN", help="Time column that gives the age of a row.")
@click.option("--key", metavar="A,B", help="Key columns, as for drain.")
@click.option("--failed", is_flag=True, help="List the failed rows by key instead, pending or not, with reasons.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="With --failed: N rows.")
@click.option("--json", "as_json_document", is_flag=True, help="Print one JSON document on stdout.")
def show(
    table: str, url: str | None, lease_in: str, lease_prefix: str, where: str | None, by: str | None,
    key: str | None, failed: bool, limit: int, as_json_document: bool,
) -> None:  # fmt: skip
    """Show the state of the queue TABLE: backlog, oldest row, leased rows, failures with reasons."""
    if where is None and not failed:
        raise UsageError("--where is missing: which rows are pending?", "give it as for drain, or use --failed.")
    names = LeaseColumns(lease_prefix)
    with _database(url) as database:
        asked = _asked(table, url, where or "1 = 1", key, by)
        status = (
            _failed(database, asked, lease_in, names, limit) if failed else _status(database, asked, lease_in, names)
        )
    if as_json_document:
        click.echo(as_json(status))
        return
    for line in _failed_lines(status) if failed else _lines(status):
        click.echo(line)


@command.command("redrive")
@_flags
@click.option("--row", "rows", metavar="KEY", multiple=True, help="A row by its key (A,B for two columns). Repeatable.")
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@click.option("--where", metavar="SQL", help="Dead letters for which this SQL condition holds.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N rows.")
@click.option("--set", "assignments", metavar="'COL = EXPR'", multiple=True, help="Makes a row pending again.")
@click.option("--key", metavar="A,B", help="Key columns, as for drain.")
@click.option("-n", "--dry-run", is_flag=True, help="Print how many rows it would be, and which. Change nothing.")
def redrive(
    table: str, url: str | None, lease_in: str, lease_prefix: str, rows: tuple[str, ...], everything: bool,
    where: str | None, limit: int | None, assignments: tuple[str, ...], key: str | None, dry_run: bool,
) -> None:  # fmt: skip
    """Make dead letters of TABLE pending again, with no attempts counted."""
    if bool(rows) + everything + (limit is not None or where is not None) != 1:
        raise UsageError("Which rows? Give --row, --where, --limit or --all; --limit goes with --where.")
    with _database(url) as database:
        asked = _asked(table, url, "1 = 1" if where is None else where, key, None, assignments)
        overview, queue = _overview(database, asked, lease_in, LeaseColumns(lease_prefix))
        found = FailedRows(database, queue, overview.leases)
        keys = list(keys_of(database.backend, rows, queue)) if rows else None
        if not dry_run:
            back = found.redrive(queue.done or (), keys, limit, chosen=where is not None)
            click.echo(f"{table}: {count(back)} rows put back.")
            return
        with database.reading() as connection:
            which = found.dead_letters(connection, keys, limit, chosen=where is not None)
    named = _named([key_text(one) for one in which])
    click.echo(visible(f"{table}: {counted(len(which), 'row')} would be put back{named}."))


def _database(url: str | None) -> closing[Database]:
    return closing(connect(address(url, os.environ)))


def _asked(
    table: str, url: str | None, where: str, key: str | None, by: str | None, marks: tuple[str, ...] = ()
) -> DrainSpec:
    """Return the spec of a drain with the fields that reading its table needs."""
    given: dict[str, Any] = {"table": table, "url": url, "where": where, "key": key, "by": by}
    end: dict[str, Any] = {"done": marks} if marks else {"delete": True}
    return checked(DrainSpec, {name: value for name, value in given.items() if value is not None} | end)


def _overview(database: Database, spec: DrainSpec, lease_in: str, names: LeaseColumns) -> tuple[QueueStatus, Any]:
    with database.reading() as connection:
        table = find_table(connection, database.backend, spec.table)
        queue = queue_of(database, table, spec)
        place = place_of(connection, database, queue, lease_in, names, whole=False, moment=time_column(table, spec))
        if place is None:
            raise without_place(connection, database, table)
    return QueueStatus(database, queue, place), queue


def _status(database: Database, spec: DrainSpec, lease_in: str, names: LeaseColumns) -> dict[str, Any]:
    overview, queue = _overview(database, spec, lease_in, names)
    with database.reading() as connection:
        counts = overview.leases.counts(connection)
        holders, reasons = overview.holders(connection), overview.reasons(connection)
        slow = database.backend.facts.of(connection, queue.table).warnings
    return {
        "table": queue.table.label,
        "leases": overview.leases.place,
        "backlog": counts.backlog,
        "oldest_seconds": counts.oldest,
        "leased": counts.leased,
        "expired": counts.expired,
        "waiting": counts.waiting,
        "dead_letters": sum(reason.dead_letters for reason in reasons),
        "workers": [asdict(holder) for holder in holders],
        "failed": [asdict(reason) for reason in reasons],
        "warnings": list(slow),
    }


def _failed(
    database: Database, spec: DrainSpec, lease_in: str, names: LeaseColumns, most: int
) -> dict[str, Any]:  # fmt: skip
    overview, queue = _overview(database, spec, lease_in, names)
    with database.reading() as connection:
        rows = FailedRows(database, queue, overview.leases).listed(connection, most + 1)
    listed = [_failed_document(row) for row in rows[:most]]
    return {"table": queue.table.label, "key": list(queue.key), "failed_rows": listed, "more": len(rows) > most}


def _failed_document(row: FailedRow) -> dict[str, Any]:
    return {
        "key": key_text(row.key),
        "state": "dead" if row.next_seconds is None else "waiting",
        "attempts": row.attempts,
        "reason": row.reason,
        "next_seconds": row.next_seconds,
    }


def _failed_lines(status: dict[str, Any]) -> Iterator[str]:
    rows = status["failed_rows"]
    key = visible(",".join(status["key"]))
    yield f"{visible(status['table'])}: {'more than ' if status['more'] else ''}{counted(len(rows), 'failed row')}"
    width = max([len(visible(row["key"])) for row in rows], default=0)
    for row in rows:
        left = row["next_seconds"]
        due = "dead letter" if left is None else f"again in {durations.show(left)}" if left > 0 else "again now"
        what = f"{counted(row['attempts'], 'attempt')}, {due}: {visible(row['reason'])}"
        yield f"  {key} {visible(row['key']).ljust(width)}  {what}"
    if status["more"]:
        yield "  … --limit N lists more of them"


def _named(keys: list[str]) -> str:
    more = " …" if len(keys) > NAMED else ""
    return f": {', '.join(keys[:NAMED])}{more}" if keys else ""


def _lines(status: dict[str, Any]) -> Iterator[str]:
    yield visible(status["table"])
    oldest = status["oldest_seconds"]
    age = "" if oldest is None else f", the oldest for {durations.show(oldest)}"
    yield f"  {'backlog':<10}{count(status['backlog'])} rows free{age}"
    leased, expired = count(status["leased"]), count(status["expired"])
    yield f"  {'in flight':<10}{leased} rows leased, {expired} with a lease that has expired"
    yield f"  {'waiting':<10}{count(status['waiting'])} rows for their next attempt"
    yield f"  {'dead':<10}{count(status['dead_letters'])} rows that are given up"
    for worker in status["workers"]:
        left = worker["seconds"]
        life = f"lease for {durations.show(left)} more" if left > 0 else "no heartbeat"
        yield f"  {'worker':<10}{visible(worker['worker'])}: {count(worker['rows'])} rows, {life}"
    for failed in status["failed"]:
        both = f"{count(failed['waiting'])} waiting, {count(failed['dead_letters'])} dead"
        yield f"  {'failed':<10}{both}: {visible(failed['reason'])}"
    for warning in status["warnings"]:
        yield f"  {'slow':<10}{visible(warning)}"
