"""Makes a queue from a spec: finds names, checks expressions, and chooses the place for leases."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from batchops.db.byte_limit import MOST_BYTES
from batchops.db.catalog import Server
from batchops.db.claims import Nulls, OrderBy
from batchops.db.database import Database
from batchops.db.lookup import find_key, find_table, hidden, no_column
from batchops.db.table import Table
from batchops.errors import RefusedError, RowRefusedError, UsageError
from batchops.queue.handlers import Handler
from batchops.queue.leases import Leases
from batchops.queue.leases.column_names import BEFORE_CLAIM, LeaseColumns
from batchops.queue.leases.columns import ColumnLeases
from batchops.queue.leases.ddl import TABLE, column_ddl, table_ddl
from batchops.queue.leases.row_lock import RowLocks
from batchops.queue.leases.table import TableLeases
from batchops.queue.queue import Assignments, Queue
from batchops.queue.spec import DrainSpec
from batchops.spec.command_line import quoted
from batchops.sql.expression import parse_assignment, parse_condition
from batchops.sql.selection import Selection

_QUICK = 0.3
"""Seconds that counting pending rows may take, if the planner has no estimate."""
_ORDER = re.compile(r"(?P<column>.+?)(?:\s+(?P<way>ASC|DESC))?(?:\s+NULLS\s+(?P<nulls>FIRST|LAST))?", re.IGNORECASE)


@dataclass(frozen=True)
class ResolvedQueue:
    """A queue with its leases, all of whose names exist in the database, and facts for the plan."""

    queue: Queue
    leases: Leases | RowLocks
    facts: tuple[tuple[str, str], ...]
    estimate: int | None


def resolve_queue(connection: sa.Connection, database: Database, spec: DrainSpec, handler: Handler) -> ResolvedQueue:
    """Return the queue and its leases; raise BatchopsError for what is missing, impossible or invalid."""
    backend = database.backend
    server = backend.catalog.server(connection)
    table = find_table(connection, backend, spec.table)
    _check_table(connection, database, table, server)
    queue = queue_of(database, table, spec)
    leases = _leases(connection, database, queue, spec, handler, time_column(table, spec))
    _check_rights(connection, database, server, queue, leases)
    _check_marks(database, queue)
    pending: sa.Select[Any] = sa.select(sa.literal(1)).select_from(table.called).where(queue.selection.clause)
    backend.planner.explain(connection, pending)  # raises an error if the server does not understand --where
    if spec.listen is not None and backend.notifications is None:
        raise UsageError(f"--listen: {server.product} has no notifications.", "use --poll alone.")
    estimate = backend.planner.matches(connection, pending)
    if counted := estimate is None:
        estimate = backend.facts.count_within(connection, pending, _QUICK)
    about = _about(estimate, counted=counted)
    return ResolvedQueue(queue, leases, _plan(database, server, queue, spec, leases, about), estimate)


def _about(estimate: int | None, *, counted: bool) -> str:
    if estimate is None:
        return "unknown"
    return f"{estimate:,} (counted)" if counted else f"about {estimate:,} (the planner's estimate)"


def queue_of(database: Database, table: Table, spec: DrainSpec) -> Queue:
    """Return the table as a queue, with the user's expressions, which are checked here."""
    functions, names = database.backend.sql_functions, table.column_names
    key = find_key(database.backend, table, spec.key)
    if key is None:
        raise RefusedError(
            f'Table "{table.label}" has no primary key or unique index, so a claimed row cannot be found again.',
            "add a primary key.",
        )
    known: dict[str, Any] = {"functions": functions, "table": table.name, "columns": names, "params": spec.params}
    where = parse_condition(spec.where, **known)

    def assignments(texts: Sequence[str], flag: str) -> Assignments:
        parsed = [parse_assignment(text, what=flag, **known) for text in texts]
        for one in parsed:
            if one.column in key.columns:
                raise RefusedError(f'{flag}: "{one.column}" is the key that a claimed row is found by.')
            if table.column(one.column).generated:
                raise UsageError(f'{flag}: column "{one.column}" is generated; the database itself computes it.')
        return tuple((one.column, one.expression.text) for one in parsed)

    return Queue(
        selection=Selection(table, where.text),
        row_alone=where.reads_row_alone(functions),
        key=key.columns,
        order=_order(table, spec.order),
        done=None if spec.delete else assignments(spec.done, "--done"),
        failed=assignments(spec.failed, "--failed"),
        claimed=assignments(spec.claimed, "--claimed"),
        work=assignments(spec.set, "--set"),
    )


def time_column(table: Table, spec: DrainSpec) -> str | None:
    """Return the column that gives the age of a row; None without --by."""
    return None if spec.by is None else _column(table, spec.by, "--by")


def _check_table(connection: sa.Connection, database: Database, table: Table, server: Server) -> None:
    if table.kind not in ("table", "partitioned"):
        raise RefusedError(f'"{table.label}" is a {table.kind}, not a table.', "name the table behind it.")
    if (unwritable := server.refusal(database.address.shown)) is not None:
        raise unwritable
    if refusal := database.backend.claims.refusal(connection, table):
        raise RefusedError(f'Workers cannot share table "{table.label}": {refusal}.')


def _check_rights(
    connection: sa.Connection, database: Database, server: Server, queue: Queue, leases: Leases | RowLocks
) -> None:  # fmt: skip
    """Raise RefusedError if this role lacks a right to a column that is read or written."""
    marks = (*queue.claimed, *queue.work, *(queue.done or ()), *queue.failed)
    written = tuple(dict.fromkeys((*leases.written, *(column for column, _ in marks))))
    # Without a column to write, the right to UPDATE any column: locking rows needs it.
    needs = [("SELECT", leases.read), ("UPDATE", written), *([("DELETE", ())] if queue.done is None else [])]
    missing = database.missing_right(queue.table, server.role, needs)
    if missing is None and isinstance(leases, TableLeases):
        lease_table = find_table(connection, database.backend, TABLE)
        every = [(right, lease_table.column_names) for right in ("SELECT", "INSERT", "UPDATE")]
        missing = database.missing_right(lease_table, server.role, [*every, ("DELETE", ())])
    if missing is not None:
        raise missing.refusal(database.engine.dialect)


def _check_marks(database: Database, queue: Queue) -> None:
    """Raise UsageError if the server refuses the names, types or labels of a mark. Nothing is written."""
    marks: list[tuple[str, sa.Update | sa.Delete]] = [
        ("--delete" if queue.done is None else "--done", queue.marked_done())
    ]
    for flag, assignments in (("--failed", queue.failed), ("--claimed", queue.claimed)):
        if assignments:
            marks.append((flag, sa.update(queue.table.called).ordered_values(*queue.values(assignments))))
    for flag, statement in marks:
        try:
            with database.explaining() as connection:
                database.backend.planner.explain(connection, statement.where(queue.selection.clause))
        except (UsageError, RowRefusedError) as error:
            refusal = error.message.split(": ", 1)[-1] if isinstance(error, UsageError) else error.message
            also = " or --set" if flag == "--done" and queue.work else ""
            raise UsageError(f"{flag}{also}: the database refuses it: {refusal}", error.hint) from error


def _leases(
    connection: sa.Connection, database: Database, queue: Queue, spec: DrainSpec, handler: Handler, moment: str | None
) -> Leases | RowLocks:
    backend, table, whole = database.backend, queue.table, spec.handlers != ["--set"]
    most, names = spec.max_bytes, LeaseColumns(spec.lease_prefix)
    place = place_of(connection, database, queue, spec.lease_in, names, whole=whole, moment=moment, max_bytes=most)
    if isinstance(place, ColumnLeases):
        names.try_values(connection, backend, table, spec.max_attempts)
    if place is not None:
        if spec.claimed:
            _keeps_marks(connection, database, queue, names, place)
        return place
    if handler.in_transaction and not spec.claimed:
        return RowLocks(backend, queue, whole=whole, moment=moment, max_bytes=most)
    if spec.lease_in == "none":
        raise UsageError(
            "--lease-in none needs --set or a function (rows, connection): a row lock must not wait for others.",
            f"add the lease columns: batchops queue init {quoted(table.label)} --apply",
        )
    raise without_place(connection, database, table)


def _keeps_marks(
    connection: sa.Connection, database: Database, queue: Queue, names: LeaseColumns,
    place: ColumnLeases | TableLeases,
) -> None:  # fmt: skip
    """Raise RefusedError if --claimed sets a lease column, or there is no column for what it overwrites."""
    if own := [column for column, _ in queue.claimed if column in place.written]:
        raise RefusedError(f'--claimed: "{own[0]}" is a column of the lease.')
    if place.keeps_marks:
        return
    table, every = queue.table, replace(names, claimed=True)
    if isinstance(place, ColumnLeases):
        every.check(database.backend.claims, table)
        where, flags, statements = f'Table "{table.label}"', " --claimed", column_ddl(database, table, every)
    else:
        where, flags, statements = f'The table "{TABLE}"', " --lease-in table", table_ddl(connection, database)
    raise RefusedError(
        f"{where} has no column {every.name(BEFORE_CLAIM)} to keep what --claimed overwrites.",
        f"batchops queue init {quoted(table.label)}{flags} --apply adds it: {'; '.join(statements)};",
    )


def without_place(connection: sa.Connection, database: Database, table: Table) -> RefusedError:
    """Return the error for a queue without a place for leases that this role can see, with the ways out."""
    init = f"batchops queue init {quoted(table.label)} --apply"
    made = f"{init} adds columns; with --lease-in table it makes a separate table."
    return RefusedError(
        f'Table "{table.label}" has no place to keep leases in.', made + _if_hidden(connection, database)
    )


def _if_hidden(connection: sa.Connection, database: Database) -> str:
    """Return a hint about the lease table, if this role cannot see whether it exists; else ""."""
    denied = hidden(connection, database.backend, None, TABLE, "SELECT, INSERT, UPDATE, DELETE")
    return "" if denied is None else f" If the table {TABLE} is there, {denied.hint(database.engine.dialect)}"


def place_of(
    connection: sa.Connection, database: Database, queue: Queue, wanted: str, names: LeaseColumns, *, whole: bool,
    moment: str | None, max_bytes: int = MOST_BYTES,
) -> ColumnLeases | TableLeases | None:  # fmt: skip
    """Return the place where leases are kept; None if there is none, RefusedError if a missing one was named."""
    backend, table = database.backend, queue.table
    missing = list(map(names.name, names.missing(table)))
    lease_table = backend.catalog.find(connection, None, TABLE) if wanted in ("auto", "table") else None
    if wanted in ("auto", "columns") and not missing and (lease_table is None or names.fit(backend.claims, table)):
        names.check(backend.claims, table)
    if wanted == "columns" and missing:
        raise RefusedError(
            f'Table "{table.label}" has no column {", ".join(missing)} to keep leases in.',
            f"batchops queue init {quoted(table.label)} --apply adds them, or use --lease-in table or --lease-in none.",
        )
    if wanted in ("auto", "columns") and not missing and names.fit(backend.claims, table):
        names = names.as_there(backend.claims, table)
        return ColumnLeases(backend, queue, names, whole=whole, moment=moment, max_bytes=max_bytes)
    if lease_table is not None:
        claimed = BEFORE_CLAIM in lease_table.column_names
        return TableLeases(backend, queue, whole=whole, moment=moment, max_bytes=max_bytes, claimed=claimed)
    if wanted == "table":
        raise RefusedError(
            f'There is no table "{TABLE}" to keep leases in.',
            f"batchops queue init {quoted(table.label)} --lease-in table --apply makes it."
            + _if_hidden(connection, database),
        )
    return None


def _order(table: Table, text: str | None) -> tuple[OrderBy, ...]:
    return tuple(_ordered(table, part.strip()) for part in text.split(",")) if text else ()


def _ordered(table: Table, part: str) -> OrderBy:
    found = _ORDER.fullmatch(part)
    if found is None:
        raise UsageError(
            f'--order: "{part}" is not a column, or a column and DESC.', "as in priority DESC NULLS LAST, created_at."
        )
    nulls: Nulls = None if not found["nulls"] else "first" if found["nulls"].lower() == "first" else "last"
    return OrderBy(_column(table, found["column"], "--order"), (found["way"] or "").lower() == "desc", nulls)


def order_text(order: OrderBy) -> str:
    """Return an order as the user writes it."""
    nulls = f" NULLS {order.nulls.upper()}" if order.nulls else ""
    return f"{order.column}{' DESC' if order.down else ''}{nulls}"


def _column(table: Table, named: str, flag: str) -> str:
    found = next((c for c in table.column_names if c.lower() == named.lower()), None)
    if found is None:
        raise no_column(flag, table, named)
    return found


def _taken_over(database: Database, queue: Queue, spec: DrainSpec, leases: Leases | RowLocks) -> str:
    """Return notes about lease columns that `queue init` did not make."""
    if not isinstance(leases, ColumnLeases):
        return ""
    names = LeaseColumns(spec.lease_prefix)
    taken = names.taken_over(database.backend.claims, queue.table)
    notes = [f"; {column.name} ({column.type}) is the table's own, taken over" for column in taken]
    if names.name("attempts") in [column.name for column in taken]:
        notes.append(f": its counts are kept, so a row at {spec.max_attempts} is given up when it fails")
    return "".join(notes)


def _plan(
    database: Database, server: Server, queue: Queue, spec: DrainSpec, leases: Leases | RowLocks, rows: str
) -> tuple[tuple[str, str], ...]:
    handler = (spec.handlers or ["a function"])[0]
    value = getattr(spec, handler.removeprefix("--").replace("-", "_"), "")
    done = "deleted" if queue.done is None else ", ".join(f"{c} = {e}" for c, e in queue.done)
    order = ", ".join(map(order_text, queue.order)) or ", ".join(queue.key)
    # An address may hold a password or, in its query string, a token.
    shown = re.sub(r"//[^/@]*@", "//", value.partition("?")[0]) if handler == "--post" else value
    return (
        ("database", f"{database.address.shown} ({server.product} {server.version})"),
        ("pending", queue.selection.condition or ""),
        ("rows", rows),
        ("order", order + ("" if not queue.order else " (no low-water mark: only claims by key have one)")),
        *([("claimed", ", ".join(f"{c} = {e}" for c, e in queue.claimed))] if queue.claimed else []),
        ("handler", f"{handler} {', '.join(shown) if isinstance(shown, tuple) else shown}"),
        ("done", done),
        ("failed", ", ".join(f"{c} = {e}" for c, e in queue.failed) or "stays pending, not tried again"),
        ("leases", leases.place + _taken_over(database, queue, spec, leases)),
    )
