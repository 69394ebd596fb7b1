"""One step of the loop: select, work and record in one transaction."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import sqlalchemy as sa

from batchops.bulk.failing_condition import located, next_part
from batchops.bulk.foresight import Foresight
from batchops.bulk.isolate_rejected import Sifted, Sifter, TooManyRejectedError
from batchops.bulk.operations import Operation
from batchops.bulk.read_meter import Watch
from batchops.bulk.row_names import row_names
from batchops.bulk.strategies import Walk
from batchops.bulk.strategies.batch import Part
from batchops.bulk.strategies.cursor import Cursor
from batchops.db.database import Database
from batchops.errors import ConditionFailedError, ConnectionLostError, IntegrityError, LockedError, RowRefusedError
from batchops.events import Rejected
from batchops.ledger.ledger import Ledger, taken_over
from batchops.ledger.rejected_rows import LOCKED, RejectedRow, keep
from batchops.ledger.run import Lane
from batchops.runtime.batch_size import Size
from batchops.runtime.outcome import Outcome

MOST_WAITING = 20_000
"""Refused rows that a lane remembers to try again."""
_VETO = "a trigger or rule left the row as it was, and said nothing"


class _OverfullError(Exception):
    """A plain range held more rows than a batch may change."""


class WalkStep:
    """The next part of a walk, worked on. Called again after an error it first asks the ledger what is durable.

    Rows that the database refuses are told from the others of their batch, named and passed by. `comes_back`: only
    after they were tried again at the end, as long as other rows still go.
    """

    def __init__(
        self,
        database: Database,
        walk: Walk,
        operation: Operation,
        ledger: Ledger,
        lane: Lane,
        watch: Watch | None = None,
        renew: Callable[[sa.Connection], None] = lambda _: None,
        *,
        comes_back: bool = False,
    ) -> None:
        """`renew` may keep the run's lease alive in the batch's own transaction."""
        self._database = database
        self._walk = walk
        self._operation = operation
        self._ledger = ledger
        self.lane = lane
        self._cursors: dict[str, Cursor] = {}
        """What the ledger's texts of the last cursors say."""
        self.between_batches = threading.Lock()
        """Held while a batch is in hand; who holds it otherwise may exchange `lane`."""
        self._in_doubt: Lane | None = None
        self._unkept: tuple[RejectedRow, ...] = ()
        """What the last batch passed by: where the ledger is elsewhere, it may have to be written down again."""
        self._watch = watch
        self._sifter = Sifter(database, self._work, Foresight(database, operation))
        self._sifting = False
        """Whether the last batch held rows that the database refuses, so that the next one may as well."""
        self._listing = False
        """Whether they are to be looked for in a list of the rows."""
        self._comes_back = comes_back
        self._renew = renew
        self._aim: int | None = None
        """Rows a batch may have where only COMMIT refuses one; None: as many as asked for."""

    @property
    def cursor(self) -> Cursor:
        """Where the lane stands."""
        return self._cursor_of(self.lane)

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
        while not self.cursor.over:
            now = size if self._aim is None else replace(size, rows=min(self._aim, size.rows))
            now = self._sifter.bounded(now, listed=self._listing) if self._sifting else now
            try:
                outcome = self._batch(now)
            except _OverfullError:
                size = replace(size, exact=True)
                continue
            except ConditionFailedError as failed:
                raise located(self._database, self._walk, self.cursor, now, failed) from failed
            except TooManyRejectedError:
                continue
            except RowRefusedError as error:
                if not self._sifting:
                    self._sifting = True
                elif not now.exact:  # not one that its checks foretold
                    self._listing = True
                elif now.rows == 1:
                    return self._pass_by(now, error)
                else:  # refused by COMMIT, or by a statement that takes no list
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
            part = next_part(self._database, self._walk, connection, self.cursor, size)
            if part is None:
                self.lane = replace(self.lane, cursor=replace(self.cursor, ranges=()).dumped())
                return None
            done = self._worked(connection, part)
            rows = done.rows
            if part.found is None and part.limit is None and rows > 2 * size.rows:
                # Others inserted into the range since its end was looked up, or a block is denser than the average.
                raise _OverfullError
            if not (rows or done.refused) and (anew := self._walk.astray(connection, self.cursor)):
                part = replace(part, cursor=anew, read=0)
            alarm = self._watch.verdict(part.read + rows, meter()) if self._watch and meter else None
            short = part.limit is not None and rows < part.limit
            cursor = part.cursor.finished_range() if short else part.cursor
            cursor, named = self._passed_by(connection, part, cursor, done)
            after = self._advanced(cursor, part, rows, len(named))
            self._note(connection, after, (*named, *self._locked(connection, part)))
        self._listing = False
        self._sifting = bool(done.refused) or self._aim is not None or self._sifter.expects(size.rows)
        recorded = self._recorded(after)
        return replace(
            recorded, rejected=_told(named), size=size, alarm=alarm, refused=len(done.refused), sifting=done.seconds
        )

    def _worked(self, connection: sa.Connection, part: Part) -> Sifted:
        if self._sifting and part.keys:
            first = self.cursor.ranges[0].refused_at is None
            return self._sifter(connection, part, roughly=self._comes_back and first)
        if self._sifting and part.key:
            return self._sifter.through_range(connection, part)
        return Sifted(self._work(connection, part), ())

    def _passed_by(
        self, connection: sa.Connection, part: Part, cursor: Cursor, done: Sifted
    ) -> tuple[Cursor, tuple[RejectedRow, ...]]:
        """Where the walk goes on after a batch with refused rows: to come back to them, or with their names."""
        way, before = self.cursor.ranges[0], self.lane.rows
        hopeless = not self._comes_back or (way.refused_at == before and not done.rows)
        rest = None if cursor.over else cursor.ranges[0]
        # Of a round in which rows go again; what is refused in it makes the next one, which has to show that anew.
        if way.refused_at is not None and not hopeless and rest and rest.keys and rest.visits == way.visits:
            cursor = replace(cursor, ranges=(replace(rest, refused_at=-1), *cursor.ranges[1:]))
        if not done.refused or cursor.turn > 0:  # a further turn meets the same rows again
            return cursor, ()
        waiting = sum(len(later.keys) for later in cursor.ranges if later.refused_at is not None)
        if hopeless or waiting + len(done.refused) > MOST_WAITING:
            names = row_names(self._database.family, connection, part, [key for key, _ in done.refused])
            return cursor, tuple(RejectedRow(key, names[repr(key)], reason) for key, reason in done.refused)
        keys = tuple(key for key, _ in done.refused)
        visits, at = (0, -1) if way.refused_at is None else (way.visits + 1, before)
        return cursor.waiting(replace(way, after=None, upto=None, keys=keys, visits=visits, refused_at=at)), ()

    def _pass_by(self, size: Size, refused: RowRefusedError) -> Outcome:
        """Move the cursor over the one row that is refused."""
        with self._database.transaction(lazy=self._ledger.inside) as connection:
            part = self._walk.next(connection, self.cursor, size)
            if part is None or part.cursor == self.cursor:
                raise refused  # this walk has no cursor to pass it by with
            named: tuple[RejectedRow, ...] = ()
            if part.keys and part.cursor.turn == 0:  # a further turn meets the same rows again
                ((key, name),) = zip(
                    part.keys, row_names(self._database.family, connection, part, part.keys).values(), strict=True
                )
                named = (RejectedRow(key, name, refused.message),)
            after = self._advanced(part.cursor, part, 0, len(named))
            self._note(connection, after, named)
        return replace(self._recorded(after), rejected=_told(named), size=size)

    def _locked(self, connection: sa.Connection, part: Part) -> tuple[RejectedRow, ...]:
        """Rows that others held locked to the end."""
        if not part.given_up:
            return ()
        names = row_names(self._database.family, connection, part, part.given_up)
        return tuple(RejectedRow(key, names[repr(key)], LOCKED, locked=True) for key in part.given_up)

    def _advanced(self, cursor: Cursor, part: Part, rows: int, rejected: int) -> Lane:
        """The lane once the batch is durable."""
        text = cursor.dumped()
        self._cursors = {self.lane.cursor: self.cursor, text: cursor}  # they need not be read again
        return self.lane.advanced(text, rows=rows, read=part.read, locked=part.locked, rejected=rejected)

    def _cursor_of(self, lane: Lane) -> Cursor:
        if lane.cursor not in self._cursors:
            self._cursors = {lane.cursor: Cursor.loaded(lane.cursor)}
        return self._cursors[lane.cursor]

    def _note(self, connection: sa.Connection, after: Lane, passed_by: Sequence[RejectedRow]) -> None:
        """Progress and what was passed by, where the ledger is in the database; elsewhere it is a commit of its own."""
        self._unkept = tuple(passed_by)
        if self._ledger.inside:
            self._advance(connection, after)
            self._renew(connection)
            self._in_doubt = after

    def _recorded(self, after: Lane) -> Outcome:
        """With the ledger elsewhere the cursor is a commit of its own."""
        self._in_doubt = after
        if not self._ledger.inside:
            with self._ledger.database.transaction() as connection:
                self._advance(connection, after)
        return self._accept(after)

    def _advance(self, connection: sa.Connection, after: Lane) -> None:
        self._ledger.advance(connection, self.lane, after)
        keep(connection, self._ledger, self.lane.run, self._unkept)

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
        return Outcome(
            rows, read, locked, durable.lane, self._cursor_of(durable).turn, undone=before.batches - durable.batches
        )

    def _accept(self, after: Lane) -> Outcome:
        before, self.lane, self._in_doubt = self.lane, after, None
        rows, read, locked = after.rows - before.rows, after.read - before.read, after.locked - before.locked
        return Outcome(rows, read, locked, after.lane, self._cursor_of(before).turn)


def _told(rows: Sequence[RejectedRow]) -> tuple[Rejected, ...]:
    return tuple(row.told for row in rows)
