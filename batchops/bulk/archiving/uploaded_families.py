"""Batches of families that are in segments already: found again by the keys of their parents."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from batchops.bulk.archiving.family_copies import FamilyCopy
from batchops.bulk.archiving.family_sets import FamilySet
from batchops.bulk.archiving.spooling import cannot_write
from batchops.bulk.archiving.uploads import Uploads
from batchops.bulk.strategies.cursor import Cursor, Range
from batchops.bulk.strategies.row_list import FollowsList, ListedRows
from batchops.bulk.strategies.strategy import Batch, Strategy
from batchops.db.backend import Backend
from batchops.db.table import Table
from batchops.errors import IntegrityError, LimitReachedError
from batchops.runtime.batch_size import Size
from batchops.runtime.outcome import Outcome
from batchops.sql.selection import Selection


@dataclass(frozen=True, kw_only=True)
class FamilySelection(Selection):
    """Parents whose families are uploaded. Whether they are the same is proven as they are deleted."""

    families: FamilySet
    start: int
    """How many parents of the set are decided before."""
    stop: int
    """How many are decided once the batch is durable."""
    last: bool
    """Whether no parent of the set follows."""

    @property
    def clause(self) -> sa.ColumnElement[bool]:
        """Always true: the condition held when the rows were copied, and the proof shows that they have not changed."""
        return sa.true()


class UploadedFamilies:
    """Copies the families of the parents that another strategy finds, before the transactions that delete them.

    Another process does not know what was copied of a range: it copies the families anew.
    """

    def __init__(
        self, inner: Strategy, uploads: Uploads, backend: Backend, table: Table, key: Sequence[str], segment_size: int,
        most_parents: int | None,
    ) -> None:  # fmt: skip
        """`most_parents`: how many the run may archive; None: no limit."""
        self.inner = inner
        self._uploads, self._backend = uploads, backend
        self._table, self._key = table, tuple(key)
        self._segment_size, self._most_parents = segment_size, most_parents
        self.name = inner.name
        self._in_hand: dict[Range, FamilySet] = {}
        self._guard = threading.Lock()
        self._most = 1
        """How many groups the next set may have: a run that ends soon has copied little that it does not delete."""
        self.begin, self.window, self.last, self.middle = inner.begin, inner.window, inner.last, inner.middle
        self.another_pass, self.ahead = inner.another_pass, inner.ahead

    @property
    def listed_rows(self) -> ListedRows | None:
        """The listed rows that nobody has changed since, if the parents are found by a list."""
        return self.inner.listed_rows if isinstance(self.inner, FollowsList) else None

    def ready(self, cursor: Cursor) -> float:  # noqa: ARG002  the protocol's shape
        return 0.0

    def in_hand(self, range_: Range) -> FamilySet:
        """Return the set that is made, or deleted, of the range."""
        with self._guard:
            if range_ not in self._in_hand:
                self._in_hand[range_] = FamilySet(range_)
            return self._in_hand[range_]

    def copy(self, one: FamilySet, cursor: Cursor, copy: FamilyCopy, size: Size) -> Outcome:
        """Copy the families of some parents into the set, by one transaction. After the last ones it is complete."""
        rest = _rest(cursor.ranges[0], one)
        outcome: Outcome | None = None
        if rest is not None:
            one.end = rest
            try:
                outcome = copy.further(one, cursor, size)
            except LimitReachedError:
                if not one.parents:
                    raise
            except OSError as error:
                raise cannot_write(self._uploads.staging, error) from error
        enough = self._most_parents is not None and one.parents >= self._most_parents
        full = enough or one.bytes >= self._segment_size or one.groups >= self._most or size.cut is not None
        if outcome is None or one.end is None or (full and not outcome.larger):
            self._sealed(one)
        else:
            self._uploads.copied(one.rows, one.bytes)
        return replace(Outcome(0, 0), larger=outcome is not None and outcome.larger)

    def _sealed(self, one: FamilySet) -> None:
        """Finish the files of the set, each of which is read back."""
        self._most = min(2 * self._most, 1 << 20)
        for segment in one.segments.values():
            if segment.draft is not None:
                segment.path = self._uploads.staging / segment.spool
                try:
                    segment.record = segment.draft.finish(segment.path, segment.digest)
                except OSError as error:
                    raise cannot_write(segment.path, error) from error
                segment.draft = None
        one.copied = True

    def send(self, one: FamilySet) -> None:
        """Upload the segments of the set; after an error, continue where it was."""
        for segment in one.segments.values():
            self._uploads.send(segment)
        one.sent = True

    def settle_decided(self) -> None:
        """Record in the bucket, for sets that are finished, which of their rows were deleted."""
        self._uploads.settle_decided()

    def next(self, connection: sa.Connection, cursor: Cursor, size: Size) -> Batch | None:  # noqa: ARG002
        """Return the next parents of the set. Those that are refused or given up on come with the last ones."""
        if cursor.over:
            return None
        one = self.in_hand(cursor.ranges[0])
        if not one.sent:
            raise IntegrityError("A batch held families that are not uploaded; it was rolled back.", "report this.")
        group, start = one.group, one.decided
        keys = group.keys[start - group.first :][: size.rows] if group is not None else ()
        stop = start + len(keys)
        last = stop >= one.parents
        selection = FamilySelection(
            group.table if group is not None else self._table, None, families=one, start=start, stop=stop, last=last
        )
        where = self._backend.keys.among(selection.table, self._key, keys) if keys else None
        read = len(keys) + (max(0, one.read - one.parents) if last else 0)
        return Batch(
            selection, where, _behind(cursor, one) if last else cursor, read, key=self._key, keys=keys,
            refused=tuple(one.refused) if last else (), locked=len(one.locked) if last else 0,
            locked_keys=tuple(one.locked) if last else (), changed_keys=tuple(one.changed) if last else (),
            by_keys=True,
        )  # fmt: skip

    def finished(self, one: FamilySet) -> None:
        """Forget a set, as all of it is decided, or given up."""
        with self._guard:
            for range_ in [range_ for range_, other in self._in_hand.items() if other is one]:
                del self._in_hand[range_]
        one.close()
        for segment in one.segments.values():
            self._uploads.decided(segment)

    def close(self) -> None:
        """Give up the sets that are not complete."""
        for one in {id(one): one for one in self._in_hand.values()}.values():
            one.close()

    def split(self, connection: sa.Connection, range_: Range) -> tuple[Range, Range] | None:
        """Split what is not copied of the range: each family that is copied belongs to one set."""
        one = self._in_hand.get(range_)
        if one is None:
            return self.inner.split(connection, range_)
        rest = _rest(range_, one)
        if rest is None or rest.keys or (rest.after != range_.after and rest.upto != range_.upto):
            return None
        halves = self.inner.split(connection, rest)
        if halves is None:
            return None
        near, far = halves
        kept = replace(range_, upto=near.upto) if rest.upto == range_.upto else replace(range_, after=near.upto)
        with self._guard:
            self._in_hand[kept] = one
        return kept, far if rest.upto == range_.upto else near

    def relocated(self, connection: sa.Connection, cursor: Cursor) -> None:
        """Return None: a key names the same row wherever the row lies."""

    def first(self, connection: sa.Connection, cursor: Cursor) -> Batch | None:
        """Return the first batch of the strategy that finds the rows."""
        return self.inner.first(connection, cursor)


def _rest(range_: Range, one: FamilySet) -> Range | None:
    """Return what is left behind the set of `range_`, which may have been split since the set was begun."""
    end, begun = one.end, one.begun
    if end is None:
        return None
    after = range_.after if end.after == begun.after else end.after
    return replace(end, after=after, upto=range_.upto if end.upto == begun.upto else end.upto)


def _behind(cursor: Cursor, one: FamilySet) -> Cursor:
    """Return the cursor behind the whole set."""
    first, *others = cursor.ranges
    rest = _rest(first, one)
    behind = replace(cursor, ranges=(*(() if rest is None else (rest,)), *others))
    for later in one.later:
        behind = behind.revisit_later(later)
    return behind
