"""One step of the loop: select, work and record in one transaction."""

import threading
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.db.table import quoted
from batchops.db.wire import as_text
from batchops.errors import ConnectionLostError, IntegrityError, LockedError, RowRefusedError
from batchops.events import Rejected
from batchops.ledger.ledger import Lane, Ledger, taken_over
from batchops.operations import Operation
from batchops.steps.outcome import Outcome
from batchops.steps.watch import Watch
from batchops.walks import Walk
from batchops.walks.part import Part, Size

_VETO = "a trigger or rule left the row as it was, and said nothing"


class _OverfullError(Exception):
    """A plain range held more rows than a batch may change."""


class WalkStep:
    """The next part of a walk, worked on. Called again after an error it first asks the ledger what is durable.

    A row that the database refuses is searched for by halves, named and passed by.
    """

    def __init__(
        self,
        database: Database,
        walk: Walk,
        operation: Operation,
        ledger: Ledger,
        lane: Lane,
        watch: Watch | None = None,
    ) -> None:
        self._database = database
        self._walk = walk
        self._operation = operation
        self._ledger = ledger
        self.lane = lane
        self.between_batches = threading.Lock()
        """Held while a batch is in hand; who holds it otherwise may exchange `lane`."""
        self._in_doubt: Lane | None = None
        self._watch = watch
        self._aim: int | None = None
        """Rows a batch may have while a refused row is near; None: as many as asked for."""

    @property
    def in_doubt(self) -> bool:
        """Whether it is not known yet if the last batch is durable."""
        return self._in_doubt is not None

    def __call__(self, size: Size) -> Outcome | None:
        """One batch; None once the walk is over."""
        if self._in_doubt is not None and (settled := self._settle(self._in_doubt)):
            return settled
        try:
            return self._next(size)
        except ConnectionLostError:
            # The server may have fallen, and what it had on its disk, or another one, may be some batches behind.
            self._in_doubt = self._in_doubt or self.lane
            raise
        except LockedError:  # the same behind a pooler, or another process has taken the run over
            return self._settle(self.lane) or Outcome(0, 0)

    def _next(self, size: Size) -> Outcome | None:
        while not self.lane.cursor.over:
            now = size if self._aim is None else replace(size, rows=min(self._aim, size.rows), exact=True)
            try:
                outcome = self._batch(now)
            except _OverfullError:
                size = replace(size, exact=True)
                continue
            except RowRefusedError as error:
                if now.rows == 1:
                    return self._pass_by(now, error)
                self._aim = now.rows // 2
                continue
            if self._aim is not None:
                self._aim = None if 2 * now.rows >= size.rows else 2 * now.rows
            return outcome
        return None

    def _batch(self, size: Size) -> Outcome | None:
        # Together with the ledger's row for it, so that a batch that is undone is simply done again.
        with self._database.transaction(lazy=self._ledger.inside) as connection:
            meter = self._watch.meter(connection) if self._watch else None
            part = self._walk.next(connection, self.lane.cursor, size)
            if part is None:
                self.lane = replace(self.lane, cursor=replace(self.lane.cursor, ranges=()))
                return None
            rows = self._work(connection, part)
            if part.found is None and part.limit is None and rows > 2 * size.rows:
                # Others inserted into the range since its end was looked up, or a block is denser than the average.
                raise _OverfullError
            if not rows and (anew := self._walk.astray(connection, self.lane.cursor)):
                part = replace(part, cursor=anew, read=0)
            alarm = self._watch.verdict(part.read + rows, meter()) if self._watch and meter else None
            short = part.limit is not None and rows < part.limit
            cursor = part.cursor.finished_range() if short else part.cursor
            after = self.lane.advanced(cursor, part, rows)
            self._note(connection, after)
        return replace(self._recorded(after), size=size, alarm=alarm)

    def _pass_by(self, size: Size, refused: RowRefusedError) -> Outcome:
        """Move the cursor over the one row that is refused."""
        with self._database.transaction(lazy=self._ledger.inside) as connection:
            part = self._walk.next(connection, self.lane.cursor, size)
            if part is None or part.cursor == self.lane.cursor:
                raise refused  # this walk has no cursor to pass it by with
            named: tuple[Rejected, ...] = ()
            if part.where is not None and part.cursor.turn == 0:  # a further turn meets the same rows again
                named = (Rejected(self._name(connection, part), refused.message),)
            after = self.lane.advanced(part.cursor, part, 0, len(named))
            self._note(connection, after)
        return replace(self._recorded(after), rejected=named, size=size)

    def _note(self, connection: sa.Connection, after: Lane) -> None:
        if self._ledger.inside:
            self._ledger.advance(connection, self.lane, after)
            self._in_doubt = after

    def _recorded(self, after: Lane) -> Outcome:
        """With the ledger elsewhere the cursor is a commit of its own."""
        self._in_doubt = after
        if not self._ledger.inside:
            with self._ledger.database.transaction() as connection:
                self._ledger.advance(connection, self.lane, after)
        return self._accept(after)

    def _work(self, connection: sa.Connection, part: Part) -> int:
        if part.where is None:
            return 0
        rows = connection.execute(self._operation.statement(part)).rowcount
        if part.found is not None and rows > part.found:
            raise IntegrityError(
                f"{part.found} rows were selected but {rows} were changed; the batch was rolled back.",
                "look for triggers or rules on the table that change more of its rows.",
            )
        if part.found is not None and rows < part.found and self._still_there(connection, part):
            raise RowRefusedError(_VETO)
        return rows

    def _still_there(self, connection: sa.Connection, part: Part) -> bool:
        """Whether rows that were locked for the operation are as if nothing had been done; a cascade took the rest."""
        if not self._operation.removes:
            return True
        left = self._operation.rehearsal(part).limit(1)
        return connection.execute(left).first() is not None

    def _name(self, connection: sa.Connection, part: Part) -> str:
        """The row by its key, for people."""
        table = part.selection.table
        names = table.keys[0].columns if table.keys else ()
        columns = [table.called.c[quoted(name)] for name in names if name in table.column_names]
        if not columns or part.where is None:
            return ", ".join(map(as_text, self.lane.cursor.position or ()))
        one: sa.Select[Any] = table.alone(sa.select(*columns).select_from(table.called).where(part.where).limit(1))
        row = connection.execute(one).first() or ("?",) * len(columns)
        return ", ".join(f"{name}={as_text(value)}" for name, value in zip(names, row, strict=True))

    def _settle(self, tried: Lane) -> Outcome | None:
        """After a lost answer: the batch that was tried, where it turns out to be durable."""
        durable = self._ledger.settled(self.lane)
        if durable.token != self.lane.token:
            raise taken_over(tried.run)
        if durable.batches == tried.batches:
            return self._accept(tried)
        if durable.batches < self.lane.batches and self._ledger.inside:
            return self._set_back(durable)
        if not self._ledger.inside:
            return self._recorded(tried)
        self._in_doubt = None
        return None

    def _set_back(self, durable: Lane) -> Outcome:
        """To where the ledger is: with its rows the work itself is undone."""
        before, self.lane, self._in_doubt = self.lane, durable, None
        rows, read, locked = (durable.rows - before.rows, durable.read - before.read, durable.locked - before.locked)
        return Outcome(rows, read, locked, durable.lane, undone=before.batches - durable.batches)

    def _accept(self, after: Lane) -> Outcome:
        before, self.lane, self._in_doubt = self.lane, after, None
        return Outcome(after.rows - before.rows, after.read - before.read, after.locked - before.locked, after.lane)
