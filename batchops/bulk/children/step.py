"""A step of a purge with children: one transaction deletes whole families, or a part of a family that is too large."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.bulk.children.circles import CircleTooLargeError, FamilyTooLargeError, larger_than_may_be, takes_too_long
from batchops.bulk.children.families import Families
from batchops.bulk.children.mark import MarkFirstError
from batchops.bulk.children.pace import ParentPace, TooManyRowsError, most_rows
from batchops.bulk.children.parents import Parents
from batchops.bulk.children.renewed_proofs import renewing
from batchops.bulk.children.shape import Row
from batchops.bulk.children.statements import FamilyStatements
from batchops.bulk.children.taken import ChildrenOfRun
from batchops.bulk.execution import Execution
from batchops.bulk.failing_condition import ready
from batchops.bulk.isolate_rejected import RejectedRowSearch, SearchResult, row_names
from batchops.bulk.rejection_forecast import RejectionForecast
from batchops.bulk.skipped_rows import looked_at_again, skipped
from batchops.bulk.step import BulkStep
from batchops.bulk.strategies.cursor import MARKED, UNMARKED, Cursor
from batchops.bulk.strategies.strategy import Batch, Strategy
from batchops.db.database import Database
from batchops.db.table import Table
from batchops.db.types import KeyValue
from batchops.errors import LockTimeoutError, RefusedError, RowRefusedError, TimedOutError
from batchops.ledger.ledger import Ledger
from batchops.ledger.rejected_rows import CHANGED, LOCKED, UNMATCHED, RejectedRow, begun
from batchops.ledger.run import Worker
from batchops.runtime.batch_size import Size
from batchops.runtime.outcome import Outcome

ROUNDS = 3
"""How often a refused parent is tried again: others may have inserted children of it meanwhile."""
VISITS = 2
"""How often a parent is visited again if rows of its family are locked."""


class FamilyStep(BulkStep):
    """Deletes parents with all rows that refer to them. The same transaction locks each parent, and it matches."""

    def __init__(
        self, database: Database, strategy: Strategy, execution: Execution, ledger: Ledger, worker: Worker,
        renew: Callable[[sa.Connection], None], children: ChildrenOfRun,
    ) -> None:  # fmt: skip
        again, execution = not children.all_match, renewing(database, strategy, execution, children)
        super().__init__(database, strategy, execution, ledger, worker, renew=renew, comes_back=again)
        forecast = RejectionForecast(database, execution.operation)
        self._search = RejectedRowSearch(database, self._work, forecast, statements=True)
        self._children = children
        self._shapes = children.shapes
        self._pace = ParentPace()
        self._next_parents = Parents(database, strategy, children)
        self._families: Families | None = None
        self._parents = 0
        """How many parents the transaction in hand has removed, or begun to remove."""
        self._alone: KeyValue | None = None
        """The key of the batch's only parent, of whose family a part may be deleted by itself; else None."""
        self._open = False
        """Whether only a part of that family fits into the batch."""
        self._tried: Counter[KeyValue | None] = Counter()
        """How often each parent was refused while it was alone in its batch."""
        self._lost = 0.0
        """Seconds that attempts at the batch in hand took whose families held too many rows."""

    def _next(self, size: Size) -> Outcome | None:
        while not self.cursor.over:
            begun = self.cursor.ranges[0].begun
            few = self._pace.size(size)
            few = self._search.bounded(few, listed=True) if self._searching else few
            few = few if begun is None else replace(few, rows=1)
            tried = time.perf_counter()
            try:
                return self._batch_of(few, size)
            except TooManyRowsError:
                if not self._next_parents.elsewhere():
                    self._pace.too_many(few.rows)
                self._lost += time.perf_counter() - tried
            except MarkFirstError:
                return self._mark(replace(few, rows=1), size)
            except CircleTooLargeError as circle:
                if few.rows == 1:
                    return self._enlarge(circle, few, size)
                self._pace.only(1)
            except TimedOutError as error:
                if not size.larger:
                    raise
                return self._reject(few, size, takes_too_long(error, whole=self._children.whole))
            except LockTimeoutError:  # a row of a family is locked; locked parents are left out already
                if not size.skip_locked or begun is not None:
                    raise
                if few.rows == 1:
                    return self._leave_locked(few, size)
                self._pace.only(few.rows // 4)
            except RowRefusedError as error:
                if few.rows > 1 and self._searching:  # refused by COMMIT, which names no row
                    self._pace.only(few.rows // 2)
                elif few.rows > 1 or (self._children.whole and not self._searching):
                    self._searching = True
                elif self._tried[self._alone] < ROUNDS:
                    self._tried[self._alone] += 1
                else:
                    return self._reject(few, size, error)
        return None

    def _enlarge(self, circle: CircleTooLargeError, few: Size, size: Size) -> Outcome | None:
        """Ask for a larger batch; if there may be none, reject the parent."""
        if size.together is not None and size.cut is None:
            return Outcome(0, 0, larger=True)
        return self._reject(few, size, larger_than_may_be(circle, self._shapes, size))

    def _batch_of(self, few: Size, size: Size) -> Outcome | None:
        reading = ready(self._strategy, self.cursor)
        with self._transaction() as connection:
            batch = self._chosen(connection, few)
            if batch is None:
                self.worker = replace(self.worker, cursor=replace(self.cursor, ranges=()).dumped())
                return None
            self._begin(connection, batch, few, size)
            done = self._worked(connection, batch)
            for own in batch.then:
                connection.execute(own)
            cursor, partial = self._behind(connection, batch)
            cursor, named = self._skip_rejected(connection, batch, cursor, done)
            backend = self._database.backend
            changed = () if partial else self._changed(connection, batch, done)
            cursor, changed = looked_at_again(cursor, self.cursor.ranges[0], changed)
            named = (*named, *partial, *skipped(backend, connection, batch, changed, CHANGED))
            locked = skipped(backend, connection, batch, batch.locked_keys, LOCKED)
            after = self._advanced(cursor, batch, done.rows, len(named))
            self._note(connection, after, (*named, *locked))
            self._execution.record(connection, batch, after)
        # Rows that were refused without a search do not call for one: what keeps them is known.
        self._searching = (self._searching and bool(done.refused)) or self._search.expects(few.rows)
        self._pace.observe(few.rows, self._parents, batch.read, self._gone)
        return replace(
            self._recorded(after), rejected=tuple(row.as_event for row in named), size=size,
            refused=len(done.refused), extra_seconds=done.seconds + reading + self._found_in(), last=cursor.over,
        )  # fmt: skip

    def _found_in(self) -> float:
        """Return the seconds spent before rows were found that may be deleted. A smaller batch takes as many."""
        lost, self._lost = self._lost, 0.0
        return lost if self._families is None else lost + self._families.searching

    def _begin(self, connection: sa.Connection, batch: Batch, few: Size, size: Size) -> None:
        """Set the counts for a batch: its transaction has changed nothing yet."""
        most = size.rows if few.rows == 1 else most_rows(size)  # a part of one family may go by itself
        parents = None if size.parents is None else size.parents.rows
        self._families = Families(self._database.backend, connection, self._shapes, self._execution, most, parents)
        self._parents, self._open = 0, False
        self._alone = batch.keys[0] if few.rows == 1 and batch.keys else None

    @property
    def _gone(self) -> int:
        """Rows of all tables that the transaction in hand has changed."""
        return 0 if self._families is None else self._families.changed.total()

    def _worked(self, connection: sa.Connection, batch: Batch) -> SearchResult:
        search = self._searching and batch.keys
        done = self._search(connection, batch) if search else SearchResult(self._work(connection, batch), ())
        return replace(done, refused=(*batch.refused, *done.refused))

    def _locked(self, connection: sa.Connection, batch: Batch) -> list[Row]:
        """Return the batch's rows that match now, locked, so that they match until the transaction ends."""
        shape = replace(self._shapes.root, table=batch.selection.table)
        if batch.held and shape.columns == batch.key:  # locked, and all that is needed of them is known
            return list(batch.keys)
        return FamilyStatements(self._database.backend, connection).rows(shape, batch.conditions)

    def _work(self, connection: sa.Connection, batch: Batch) -> int:
        """Remove the families of the batch's rows; return how many rows of the root are gone."""
        assert self._families is not None  # _begin has set it
        if batch.where is None:
            return 0
        families, root = self._families, self._shapes.graph.root
        parents = self._locked(connection, batch)
        if not parents:
            return 0
        back, before = families.state(), families.gone
        try:
            whole = self._removed(families, root, parents)
        except (RowRefusedError, DBAPIError):
            back()
            raise
        if not whole:
            self._open_family(len(parents))
        else:
            self._parents += len(parents)
        return families.gone - before

    def _removed(self, families: Families, root: Table, parents: list[Row]) -> bool:
        return families.remove(root, parents)

    def _open_family(self, parents: int) -> None:
        if self._alone is None or parents > 1:
            raise TooManyRowsError
        if self._children.whole:
            raise FamilyTooLargeError(self._shapes.component(self._shapes.graph.root))
        if self._children.mark is not None and self.cursor.ranges[0].begun != MARKED:
            raise MarkFirstError
        self._parents, self._open = 1, True

    def _chosen(self, connection: sa.Connection, few: Size) -> Batch | None:
        return self._next_parents.next(connection, self.cursor, few, listed=self._searching)

    def _behind(self, connection: sa.Connection, batch: Batch) -> tuple[Cursor, tuple[RejectedRow, ...]]:
        """Return the cursor behind the batch; and, as rejected, a parent that was begun and does not match any more."""
        range_ = self.cursor.ranges[0]
        if self._open and self._alone is not None:
            return self._first(batch.cursor, self._alone, UNMARKED if range_.begun is None else range_.begun), ()
        if range_.begun is None or self._parents:
            return batch.cursor, ()
        key = range_.keys[0]
        if key in batch.locked_keys or any(key in later.keys for later in batch.cursor.ranges):
            return batch.cursor, ()
        shape, statements = self._shapes.root, FamilyStatements(self._database.backend, connection)
        if not statements.any(shape.table, (statements.named(shape, [key]),)):
            return batch.cursor, ()  # the session that deleted it had to delete its children too
        return batch.cursor, self._named(connection, batch, key, UNMATCHED)

    def _first(self, cursor: Cursor, key: KeyValue, begun: int) -> Cursor:
        """Return the cursor that visits this parent before all others."""
        now = replace(self.cursor.ranges[0], after=None, upto=None, keys=(key,), visits=0, refused_at=None, begun=begun)
        return replace(cursor, ranges=(now, *cursor.ranges))

    def _named(self, connection: sa.Connection, batch: Batch, key: KeyValue, reason: str) -> tuple[RejectedRow, ...]:
        names = row_names(self._database.backend, connection, replace(batch, key=self._shapes.root.key), [key])
        return (RejectedRow(key, names[repr(key)], reason, locked=reason == LOCKED),)

    def _mark(self, few: Size, size: Size) -> Outcome | None:
        """Mark the parent, in a commit of its own: from now on its mark must hold, and not its condition."""
        mark, shape, backend = self._children.mark, self._shapes.root, self._database.backend
        assert mark is not None  # MarkFirstError is raised only with a mark
        with self._database.transaction() as connection:
            batch = self._chosen(connection, few)
            if batch is None or batch.where is None:
                return Outcome(0, 0)  # others were faster: the next step looks again
            self._begin(connection, batch, few, size)
            statements = FamilyStatements(backend, connection)
            if not statements.rows(replace(shape, table=batch.selection.table), batch.conditions):
                return Outcome(0, 0)
            key = batch.keys[0]
            where = statements.named(shape, [key])
            connection.execute(mark.statement(shape.table, where))
            if not statements.any(shape.table, (where, mark.selection(backend, shape.table).clause)):
                raise RefusedError(
                    f'--mark: "{mark.column}" does not have the value {mark.value} after it was set to it.',
                    "use a value that the column keeps exactly, and that no trigger changes.",
                )
            after = self._advanced(self._first(batch.cursor, key, MARKED), batch, 0, 0)
            self._note(connection, after, ())
        return replace(self._recorded(after), size=size)

    def _leave_locked(self, few: Size, size: Size) -> Outcome:
        """Move the cursor over a parent with locked rows in its family. Visit it again later; at last report it."""
        with self._transaction() as connection:
            batch = self._chosen(connection, few)
            if batch is None or not batch.keys:
                return Outcome(0, 0)
            self._begin(connection, batch, few, size)
            range_, named = self.cursor.ranges[0], tuple[RejectedRow, ...]()
            cursor = batch.cursor
            if range_.visits < VISITS:
                later = replace(range_, after=None, upto=None, keys=batch.keys, visits=range_.visits + 1)
                cursor = cursor.revisit_later(later)
            else:
                named = self._named(connection, batch, batch.keys[0], LOCKED)
            after = self._advanced(cursor, replace(batch, locked=len(named)), 0, 0)
            self._note(connection, after, named)
            self._execution.record(connection, batch, after)
        return replace(self._recorded(after), size=size)

    def _reject(self, few: Size, size: Size, refused: RowRefusedError) -> Outcome:
        """Move the cursor over the batch's only parent, which is refused, and report it."""
        with self._transaction() as connection:
            batch = self._chosen(connection, few)
            if batch is None or (batch.cursor == self.cursor and not batch.keys):
                raise refused
            self._begin(connection, batch, few, size)
            reason = refused.message if self.cursor.ranges[0].begun is None else begun(refused.message)
            named = self._named(connection, batch, batch.keys[0], reason) if batch.keys else ()
            after = self._advanced(batch.cursor, batch, 0, len(named))
            self._note(connection, after, named)
            self._execution.record(connection, batch, after)
        return replace(self._recorded(after), rejected=tuple(row.as_event for row in named), size=size)

    def _advanced(self, cursor: Cursor, batch: Batch, rows: int, rejected: int) -> Worker:
        after = super()._advanced(cursor, batch, rows, rejected)
        return replace(after, tables=Counter(after.tables) + self._by_table)

    @property
    def _by_table(self) -> Counter[str]:
        """How many rows the transaction in hand has changed, by table."""
        return Counter() if self._families is None else self._families.changed
