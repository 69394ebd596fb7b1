"""Renews the proofs of listed rows that a run with children changes itself: by foreign keys, or by setting NULL."""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from batchops.bulk.children.graph import Graph, name_of
from batchops.bulk.children.taken import ChildrenOfRun
from batchops.bulk.execution import Execution
from batchops.bulk.operations import Operation
from batchops.bulk.strategies.cursor import Cursor
from batchops.bulk.strategies.own_changes import OwnChanges
from batchops.bulk.strategies.row_list import FollowsList
from batchops.bulk.strategies.strategy import Batch, Strategy
from batchops.db.database import Database
from batchops.db.facts import SET_DEFAULT, SET_NULL
from batchops.db.foreign_keys import ForeignKey
from batchops.db.table import Table, quoted
from batchops.db.types import KeyValue
from batchops.ledger.run import Worker
from batchops.runtime.batch_size import Size
from batchops.runtime.outcome import Outcome


class RenewingExecution:
    """Executes as `execution` does. Before it deletes rows, it locks the unchanged listed rows that refer to them.

    Their proofs are renewed in the same transaction, once all rows are deleted.
    """

    def __init__(
        self, database: Database, execution: Execution, own: OwnChanges, references: Sequence[ForeignKey]
    ) -> None:  # fmt: skip
        """`references`: the listed table's foreign keys that the server sets when it deletes what they refer to."""
        self._database = database
        self._execution = execution
        self._own = own
        self._references = references
        self._changed: list[KeyValue] = []
        """The keys of rows that the transaction in hand may have changed, and that were unchanged before."""
        self.operation: Operation = execution.operation
        self.exact, self.lazy, self.one_statement = execution.exact, execution.lazy, execution.one_statement

    def ahead(self, worker: Worker, cursor: Cursor, size: Size) -> Outcome | None:
        return self._execution.ahead(worker, cursor, size)

    def begin(self, worker: Worker) -> None:
        self._changed = []
        self._execution.begin(worker)

    def work(self, connection: sa.Connection, batch: Batch) -> int:
        return self._execution.work(connection, batch)

    def read(self, connection: sa.Connection, table: Table, where: sa.ColumnElement[bool], rows: int) -> None:
        self._execution.read(connection, table, where, rows)

    def nulls(
        self, connection: sa.Connection, table: Table, columns: Sequence[str], where: sa.ColumnElement[bool], rows: int
    ) -> None:  # fmt: skip
        self._execution.nulls(connection, table, columns, where, rows)

    def changes(self, connection: sa.Connection, table: Table, where: sa.ColumnElement[bool]) -> None:
        if name_of(table) == name_of(self._own.rows.table):
            self._note(connection, where)
        self._execution.changes(connection, table, where)

    def delete(self, connection: sa.Connection, table: Table, delete: sa.Delete) -> int:
        root, where = self._own.rows.table, delete.whereclause
        for key in self._references:
            if key.parent == name_of(table) and where is not None:
                own = [root.called.c[quoted(name)] for name in key.columns]
                gone = table.alone(sa.select(*(table.called.c[quoted(name)] for name in key.referred)))
                gone = gone.select_from(table.called).where(where).correlate(None)
                self._note(connection, (own[0] if len(own) == 1 else sa.tuple_(*own)).in_(gone))
        return self._execution.delete(connection, table, delete)

    def state(self) -> Callable[[], None]:
        forget, noted = self._execution.state(), len(self._changed)

        def back() -> None:
            forget()
            del self._changed[noted:]

        return back

    def record(self, connection: sa.Connection, batch: Batch, after: Worker) -> None:
        for renewal in self._own.proved_anew([*dict.fromkeys(self._changed)]):
            connection.execute(renewal)
        self._execution.record(connection, batch, after)

    def committed(self) -> None:
        self._execution.committed()

    def undone(self) -> None:
        self._execution.undone()

    def _note(self, connection: sa.Connection, where: sa.ColumnElement[bool]) -> None:
        backend, table = self._database.backend, self._own.rows.table
        out = [backend.keys.out(table, name).label(f"k{i}") for i, name in enumerate(self._own.key)]
        rows: sa.Select[Any] = table.alone(sa.select(*out).select_from(table.called))
        rows = rows.where(where, self._own.rows.clause)
        if backend.sessions.locks_rows and table.lockable:
            rows = rows.with_for_update(of=table.called)
        self._changed += [tuple(row) for row in connection.execute(rows)]


def renewing(database: Database, strategy: Strategy, execution: Execution, children: ChildrenOfRun) -> Execution:
    """Return what executes the batches of a run with children: with renewed proofs if its rows are listed."""
    rows = strategy.listed_rows if isinstance(strategy, FollowsList) else None
    if rows is None:
        return execution
    references, graph = _set_by_server(database, children.shapes.graph), children.shapes.graph
    nulled = any(edge.nulls and name_of(edge.child) == name_of(graph.root) for edge in graph.edges)
    if not references and not nulled:
        return execution
    return RenewingExecution(database, execution, OwnChanges(rows, children.shapes.root.key, ()), references)


def _set_by_server(database: Database, graph: Graph) -> list[ForeignKey]:
    with database.reading() as connection:
        keys = database.backend.foreign_keys.all(connection, (graph.root.schema,))
    return [key for key in keys if key.child == name_of(graph.root) and key.on_delete in (SET_NULL, SET_DEFAULT)]
