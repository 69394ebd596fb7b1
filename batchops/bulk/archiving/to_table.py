"""An archive in another table of the same database: rows arrive and leave in one transaction."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from batchops.archive.numbers import advance_numbers, unique_columns
from batchops.bulk.archiving.same_columns import refuse_columns
from batchops.bulk.archiving.spec import ArchiveSpec
from batchops.bulk.archiving.target import OwnTable
from batchops.bulk.execution import DirectExecution, Execution
from batchops.bulk.operations import Operation, Statement
from batchops.bulk.rows_out import Preparing, RunInHand, WholeRows
from batchops.bulk.strategies.strategy import Batch, Strategy
from batchops.db.database import Database
from batchops.db.exact_columns import ExactColumn
from batchops.db.facts import TableFacts
from batchops.db.lookup import find_table
from batchops.db.row_lines import lines_of
from batchops.db.table import Table, quoted
from batchops.errors import IntegrityError, NotFoundError, RefusedError, RowRefusedError, TransientError, UsageError
from batchops.finished_details import Archived
from batchops.ledger.run import Worker
from batchops.runtime.ending import Ending
from batchops.runtime.refusal import Refusal

_OTHER_CONTENT = "its key is there already with other content, or is NULL"
KEEPS = ("keep", "rows stay in the table; those that are there already are compared, and not copied again")
_VETO = "a trigger left the row in the table, without an error"


@dataclass(frozen=True)
class TableArchive:
    """A planned archive in a table of the same database."""

    source: Table
    into: Table
    names: tuple[str, ...]
    columns: tuple[ExactColumn, ...]
    """The columns of the source that go into the columns `names`."""
    key: tuple[str, ...]
    """The key by which a row that stays is found in both tables; empty if rows do not stay."""
    unique: frozenset[str]
    """Columns of the other table whose numbers of new rows are advanced."""
    facts: tuple[tuple[str, str], ...]
    refusals: Sequence[Refusal]
    warnings: tuple[str, ...]
    pinned: dict[str, Any] = field(default_factory=dict)

    def open(self, of: RunInHand) -> "OpenTable":
        """Return the open archive; nothing has to be prepared."""
        return OpenTable(self, of.database)


class OpenTable:
    """The archive during a run."""

    def __init__(self, archive: TableArchive, database: Database) -> None:
        self._archive = archive
        self._database = database

    def found_by(self, strategy: Strategy) -> Strategy:
        """Return the strategy unchanged: rows are archived in the batches that it finds."""
        return strategy

    def execution(self, operation: Operation) -> Execution:
        """Return the execution of one worker: a move, or a copy if the rows stay."""
        return (MoveExecution if operation.removes else CopyExecution)(self._database, operation, self._archive)

    def whole(self) -> WholeRows:
        """Raise an error: only files take whole partitions, as the spec says."""
        raise RefusedError("Whole partitions are archived to files alone.", "leave --drop-partitions out.")

    def close(self, ending: Ending, warn: Callable[[str], None]) -> Ending:
        """Advance the numbers of new rows there. Return the ending unchanged, as nothing is open."""
        advance_numbers(self._database, self._archive.into, self._archive.unique, warn)
        return ending

    def archived(self) -> Archived:
        """Return where the rows are, for the run's summary."""
        return Archived(self._archive.into.label, None, None, 0, None, None)


class MoveExecution(DirectExecution):
    """Executes INSERT and DELETE for the same rows: both are committed, or neither."""

    one_statement = False

    def __init__(self, database: Database, operation: Operation, archive: TableArchive) -> None:
        super().__init__(database, operation)
        self._archive = archive
        self._moves = database.backend.row_moves

    def record(self, connection: sa.Connection, batch: Batch, after: Worker) -> None:  # noqa: ARG002  the shape
        """Check, after both statements, for a new column or trigger: the archive would lack deleted values."""
        source, into = self._archive.source, self._archive.into
        look = self._moves.look(connection, self._database.backend.row_lines, source, into)
        refuse_columns(source, look.columns, source.column_names)
        self._refuse_changes(look.changes)

    def _refuse_changes(self, what: str) -> None:
        if what:
            raise IntegrityError(
                f'{what} of "{self._archive.into.label}" may have changed the rows that arrived; the batch was rolled '
                "back.",
                "drop it, and run the same command again.",
            )

    def _carried_out(self, connection: sa.Connection, batch: Batch, statement: Statement) -> int:
        assert isinstance(statement, sa.Delete)  # an archive's operation is no other
        own = self._archive
        moved = self._moves.move(connection, statement, batch.selection.table, own.into, own.names)
        if moved.inserted == moved.deleted:
            return moved.deleted
        if moved.inserted > moved.deleted:
            raise RowRefusedError(_VETO)
        self._refuse_changes(self._moves.changes(connection, own.into))
        # At READ COMMITTED a row may come into the range after it was read; each that was read is locked.
        raise TransientError(f"{moved.deleted} rows were deleted where {moved.inserted} had been inserted.")


class CopyExecution(MoveExecution):
    """Inserts the rows whose keys are not there yet, and compares all with what is there then."""

    def _carried_out(self, connection: sa.Connection, batch: Batch, statement: Statement) -> int:
        assert isinstance(statement, sa.Select)  # the rows stay
        own, table, lines = self._archive, batch.selection.table, self._database.backend.row_lines
        there = own.into.clause.alias(quoted("batchops_there"))
        absent = ~sa.exists(sa.select(sa.literal_column("1")).select_from(there).where(*_same(own.key, there, table)))
        values = [table.called.c[quoted(name)] for name in own.names]
        rows = statement.with_only_columns(*values, maintain_column_froms=True)
        self._moves.copy(connection, rows.where(absent), own.into, own.names)
        wanted = lines_of(lines, connection, statement, table, own.columns)
        one: sa.ColumnElement[int] = sa.literal_column("1")
        here = (
            sa.select(one).select_from(table.called).where(*batch.conditions, *_same(own.key, own.into.called, table))
        )
        copied: sa.Select[Any] = sa.select(one).select_from(own.into.called).where(
            sa.exists(here.correlate(own.into.called))
        )  # fmt: skip
        if Counter(lines_of(lines, connection, copied, own.into, own.columns)) != Counter(wanted):
            raise RowRefusedError(_OTHER_CONTENT)
        return len(wanted)


def _same(key: Sequence[str], there: sa.FromClause, table: Table) -> list[sa.ColumnElement[bool]]:
    return [there.c[quoted(name)] == table.called.c[quoted(name)] for name in key]


def table_archive(
    preparing: Preparing, spec: ArchiveSpec, target: OwnTable, columns: Sequence[ExactColumn]
) -> TableArchive:  # fmt: skip
    """Return the planned archive in a table of the same database; UsageError if there is no such table."""
    database, connection, source = preparing.database, preparing.connection, preparing.found.table
    try:
        into = find_table(connection, database.backend, target.name)
    except NotFoundError as error:
        raise UsageError(
            f"--to: {error.message}", f'make it like "{source.label}"; a folder ends with /: --to {spec.to}/.'
        ) from error
    computed = {column.name for column in into.columns if column.generated}
    names = tuple(column.name for column in columns if column.name not in computed)
    facts_there = database.backend.facts.of(connection, into)
    refusals = [*_refusals(preparing, into, facts_there, names, columns)]
    key: tuple[str, ...] = ()
    to = ("to", f"table {into.label}: each batch arrives there and leaves here in one transaction")
    if spec.keep:
        to, key = ("to", f"table {into.label}"), into.key_within(names)
        if not key:
            message = f'"{into.label}" has no key among the archived columns: what is there could not be told.'
            refusals.append(Refusal("destination", message, "give it the primary key of the table."))
    facts = (to, KEEPS) if spec.keep else (to,)
    written = tuple(column for column in columns if column.name in names)
    return TableArchive(
        source, into, names, written, key, unique_columns(into, facts_there), facts, refusals, ()
    )  # fmt: skip


def _refusals(
    preparing: Preparing, into: Table, there: TableFacts, names: Sequence[str], columns: Sequence[ExactColumn]
) -> Iterator[Refusal]:  # fmt: skip
    database, connection, found = preparing.database, preparing.connection, preparing.found
    moves, source = database.backend.row_moves, found.table
    if into.identity == source.identity:
        raise UsageError(f'--to: "{into.label}" is the table itself.', "name another table.")
    if into.kind not in ("table", "partitioned"):
        yield Refusal("destination", f'"{into.label}" is a {into.kind}.', "name a table.")
        return
    if not (found.facts.transactional and there.transactional):
        yield Refusal(
            "engine", "One of the two tables does not support transactions: a row could be in both, or in none.",
            "ALTER TABLE … ENGINE=InnoDB.",
        )  # fmt: skip
    yield from _differences(preparing, into, names, columns)
    if what := moves.changes(connection, into):
        yield Refusal(
            "destination", f'{what} of "{into.label}" may change the rows that arrive.', "name a table without one."
        )
    if preparing.route.kind.starts_over and not moves.limits:
        strategy, known = preparing.route.pinned.strategy, source.known_by
        yield Refusal(
            "destination", f"{found.server.product} inserts the rows of a batch there and deletes them here by two "
            f'statements. With the strategy {strategy} these could take different rows of "{source.label}".',
            "leave --strategy out: the table has a key." if known else "add a primary key, or archive to a folder.",
        )  # fmt: skip
    if why := database.backend.row_lines.obstacle(connection, source, ()):
        yield Refusal("inexact", f'Rows of "{source.label}" cannot be archived: {why}.', "")


def _differences(
    preparing: Preparing, into: Table, names: Sequence[str], columns: Sequence[ExactColumn]
) -> Iterator[Refusal]:  # fmt: skip
    """Yield a refusal for each column that would not have the same values there."""
    there = {one.name: one for one in preparing.database.backend.exact_columns.columns(preparing.connection, into)}
    for column in columns:
        other = there.get(column.name)
        if other is None:
            yield Refusal(
                "destination", f'"{into.label}" has no column "{column.name}" ({column.sql_type}).',
                "add it, or leave the column out with --columns.",
            )  # fmt: skip
        elif column.name in names and (other.sql_type, _charset(other)) != (column.sql_type, _charset(column)):
            was, now = (" ".join(filter(None, (one.sql_type, _charset(one)))) for one in (column, other))
            yield Refusal(
                "destination", f'"{column.name}" is {was}, and {now} in "{into.label}": values could change.',
                "give both the same type.",
            )  # fmt: skip


def _charset(column: ExactColumn) -> str:
    """Return the column's character set in MySQL; empty elsewhere, as other databases have one for all columns."""
    return (column.collation or "").partition("_")[0] if "_" in (column.collation or "") else ""
