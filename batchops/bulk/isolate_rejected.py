"""Finds and names the rows of a batch that the database refuses."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.bulk.rejection_forecast import RejectionForecast
from batchops.bulk.strategies.strategy import Batch
from batchops.db.backend import Backend
from batchops.db.database import Database
from batchops.db.faults import TOGETHER, RefusedRow
from batchops.db.types import KeyValue
from batchops.db.value_formats import as_text
from batchops.errors import RowRefusedError
from batchops.runtime.batch_size import Size

MOST_REFUSED, LEAST = 20, 50
"""The most refused rows that a batch should hold; and the size below which a batch is not made smaller for that."""
NAMED_EACH = 4
"""How many refused rows a group is expected to hold if the server names them."""

MOST_PREDICTED, MOST_TOGETHER = 10 * MOST_REFUSED, 10 * MOST_REFUSED
"""The most rows of a batch that are tried one by one; the most refused ones it should hold if one statement tries
many."""

Work = Callable[[sa.Connection, Batch], int]
"""Changes a batch's rows and returns how many; RowRefusedError for a row that may not be changed."""


class TooManyRejectedError(Exception):
    """The batch has too many rows that will be refused; `RejectedRowSearch.bounded` gives a smaller size."""


@dataclass(frozen=True)
class SearchResult:
    """What became of a batch's rows."""

    rows: int
    refused: tuple[tuple[KeyValue, str], ...]
    """Keys and reasons, in the batch's order."""
    seconds: float = 0.0
    """The seconds that refused statements took."""


class RejectedRowSearch:
    """Works on groups of rows, the last ones first: rows that refer to others of their table mostly come after them.

    The size of a group depends on the share of rows that was refused before. A few bad rows in a thousand cost some
    more statements. If every row is bad, each is tried once.
    """

    def __init__(
        self, database: Database, work: Work, forecast: RejectionForecast, *, statements: bool = False
    ) -> None:  # fmt: skip
        """`statements`: whether `work` is several statements, so that undoing the failing one does not undo all."""
        self._database = database
        self._work = work
        self._forecast = forecast
        self._statements = statements
        self._share = 0.0
        self._unpredicted = 0.0
        """The share of refused rows that were not predicted."""
        self._named = False
        """Whether the server named the row that it refused last."""
        self._guesses = True
        """Whether every row that the server seemed to name was really refused, so far."""

    def bounded(self, size: Size, *, listed: bool) -> Size:
        """Return a size at which a batch holds few refused rows. It is exact if `listed`, or if none are predicted."""
        exact = size.exact or listed or self._forecast.ended
        expected = MOST_TOGETHER if self._forecast.confirms else MOST_REFUSED
        most = max(LEAST, round(expected / self._share)) if self._share else size.rows
        if size.rows <= most:
            return replace(size, exact=exact)
        return replace(size, rows=most, read=max(most, size.read * most // size.rows), exact=exact)

    def expects(self, rows: int) -> bool:
        """Whether a batch of `rows` rows will probably hold one that is refused."""
        return self._share * rows >= 0.5

    def through_range(self, connection: sa.Connection, batch: Batch) -> SearchResult:
        """Change all rows of a range, in one statement but for predicted rows; RowRefusedError for another bad row."""
        groups = self._predicted(connection, batch, max(1, batch.read))
        predicted = tuple(key for group in groups for key in group)
        trial = self._trial(connection, replace(batch, keys=predicted))
        trial.alike(groups)
        if predicted:
            others = sa.not_(self._database.backend.keys.among(batch.selection.table, batch.key, predicted))
            batch = replace(batch, where=others if batch.where is None else sa.and_(batch.where, others))
        trial.changed += self._work(connection, batch)
        self._learn(len(predicted), len(trial.refused), 0, trial.changed + len(trial.refused))
        return trial.result

    def __call__(self, connection: sa.Connection, batch: Batch, *, roughly: bool = False) -> SearchResult:
        """Change all rows of a list. `roughly`: a small group is refused as a whole, as it is tried again later."""
        trial = self._trial(connection, batch)
        predicted = trial.alike(self._predicted(connection, batch, len(batch.keys)))
        alone = len(trial.refused)
        places = sorted(set(range(len(batch.keys))).difference(predicted))
        while places:
            places = self._through(trial, places, max(1, len(places) // 16) if roughly else 1)
        self._learn(len(predicted), alone, len(trial.refused) - alone, len(batch.keys))
        return trial.result

    def _trial(self, connection: sa.Connection, batch: Batch) -> "_Trial":
        return _Trial(self._database, self._work, connection, batch, self._forecast.confirmed, self._statements)

    def _predicted(self, connection: sa.Connection, batch: Batch, rows: int) -> tuple[tuple[KeyValue, ...], ...]:
        groups = self._forecast(connection, batch)
        predicted = sum(map(len, groups))
        if predicted > MOST_PREDICTED:
            self._share = min(1.0, max(2 * self._share, predicted / rows))
            raise TooManyRejectedError
        return groups

    def _learn(self, predicted: int, of_these: int, others: int, rows: int) -> None:
        self._forecast.judge(predicted, of_these, others)
        self._share = (self._share + (of_these + others) / max(1, rows)) / 2
        self._unpredicted = (self._unpredicted + others / max(1, rows)) / 2

    def _through(self, trial: "_Trial", places: list[int], least: int) -> list[int]:
        """Try all. Return the rows that the server passed before it named another one; these are probably all right."""
        passed: list[int] = []
        while places:
            begin = max(0, len(places) - self._group(len(places)))
            refusal = trial(places[begin:])
            if refusal is None:
                del places[begin:]
                continue
            named = refusal.named
            self._named = named is not None and (named.certain or self._guesses)
            if named is None or not self._named:
                places = _last_refused(trial, places, begin, refusal, least)
                continue
            at = places.index(named.place)
            found = refusal if named.certain else trial([named.place])
            if found is None:  # the server meant another row; this one is changed now
                self._guesses = False
                del places[at]
                continue
            trial.refused[named.place] = found.reason
            passed += places[begin:at]
            places[begin:] = places[at + 1 :]
        return sorted(passed)

    def _group(self, rows: int) -> int:
        if not self._unpredicted:
            return rows
        return max(1, round((NAMED_EACH if self._named else 1) / self._unpredicted))


@dataclass(frozen=True)
class _Refusal:
    reason: str
    named: RefusedRow | None = None


class _Trial:
    """Tries some rows of a batch at a time, by their places; a refusal leaves the transaction unchanged."""

    def __init__(
        self, database: Database, work: Work, connection: sa.Connection, batch: Batch,
        confirmed: Callable[[sa.Connection, Batch], bool], statements: bool,
    ) -> None:  # fmt: skip
        self._confirmed = confirmed
        self._database = database
        self._work = work
        self._connection = connection
        self._part = batch
        # A row that a trigger skips in silence is no error to the server, which undoes nothing then.
        undone = database.backend.sessions.undoes_statements and not batch.selection.table.may_veto
        self._undone_alone = undone and not statements
        self._guarded = False
        """Whether nothing was changed since the last savepoint."""
        self.changed = 0
        self.refused: dict[int, str] = {}
        self.seconds = 0.0

    @property
    def result(self) -> SearchResult:
        refused = tuple((self._part.keys[place], reason) for place, reason in sorted(self.refused.items()))
        return SearchResult(self.changed, refused, self.seconds)

    def alike(self, groups: Iterable[Sequence[KeyValue]]) -> list[int]:
        """Try groups of rows that the same constraint probably refuses; return their places.

        Two rows of a group are tried for the server's reason. For the others, one statement tells whether the server
        refuses each.
        """
        known = {repr(key): place for place, key in enumerate(self._part.keys)}
        predicted: list[int] = []
        for group in groups:
            places = [place for place in (known.get(repr(key)) for key in group) if place is not None]
            predicted += places
            self.each(places[:2])
            reasons = {self.refused.get(place) for place in places[:2]}
            for begin in range(2, len(places), TOGETHER):
                self._together(places[begin : begin + TOGETHER], reasons.copy().pop() if len(reasons) == 1 else None)
        return predicted

    def _together(self, places: Sequence[int], reason: str | None) -> None:
        """Note the rows as refused for that reason if the server refuses each of them; else try each by itself."""
        begun = time.perf_counter()
        if reason is None or not self._confirmed(self._connection, self._of(places)):
            self.each(places)
            return
        self.refused.update(dict.fromkeys(places, reason))
        self.seconds += time.perf_counter() - begun

    def each(self, places: Iterable[int]) -> None:
        """Try each row by itself."""
        for place in places:
            if refusal := self([place]):
                self.refused[place] = refusal.reason

    def __call__(self, places: Sequence[int]) -> _Refusal | None:
        """Try these rows; return None if they are changed."""
        begun = time.perf_counter()
        if not (self._guarded or self._undone_alone):
            # The one before needs no RELEASE: there are few in a batch, and COMMIT ends them all.
            self._connection.exec_driver_sql("SAVEPOINT isolating")
            self._guarded = True
        refusal = self._try(places)
        if refusal is None:
            self._guarded = False
            return None
        if self._guarded:
            self._connection.exec_driver_sql("ROLLBACK TO SAVEPOINT isolating")
        self.seconds += time.perf_counter() - begun
        return refusal

    def _try(self, places: Sequence[int]) -> _Refusal | None:
        batch, backend, part = self._part, self._database.backend, self._of(places)
        try:
            self.changed += self._work(self._connection, part)
        except RowRefusedError as error:
            return _Refusal(error.message)
        except DBAPIError as error:
            refused = self._database.error(error)
            if not isinstance(refused, RowRefusedError):
                raise
            if len(places) == 1:
                return _Refusal(refused.message)
            table = batch.selection.table
            named = backend.faults.refused_row(self._connection, error, table, batch.key, part.keys)
            return _Refusal(refused.message, named and replace(named, place=places[named.place]))
        return None

    def _of(self, places: Sequence[int]) -> Batch:
        """Return a batch of these rows alone."""
        batch, keys = self._part, tuple(self._part.keys[place] for place in places)
        where = self._database.backend.keys.among(batch.selection.table, batch.key, keys)
        return replace(batch, where=where, keys=keys, found=len(keys))


def _last_refused(trial: _Trial, places: list[int], begin: int, refusal: _Refusal, least: int) -> list[int]:
    """Find the last refused row, or `least` rows, of the group from `begin`, by halves; return the places before it."""
    low, high = begin, len(places)
    reason: _Refusal | None = refusal
    while high - low > least:
        middle = (low + high) // 2
        later = trial(places[middle:high])
        if later is None:
            high, reason = middle, None  # so it is before; it need not be tried until it is found
        else:
            low, reason = middle, later
    reason = reason or trial(places[low:high])
    if reason is not None:
        trial.refused.update(dict.fromkeys(places[low:high], reason.reason))
    return places[:low]


def row_names(backend: Backend, connection: sa.Connection, batch: Batch, keys: Sequence[KeyValue]) -> dict[str, str]:
    """Return the names of the rows for people, by the text of their keys."""
    table = batch.selection.table
    own = [backend.keys.out(table, name).label(f"k{i}") for i, name in enumerate(batch.key)]
    names = table.known_by or batch.key
    shown = [backend.keys.out(table, name).label(f"n{i}") for i, name in enumerate(names)]
    rows: sa.Select[Any] = table.alone(sa.select(*own, *shown).select_from(table.called))
    found = {
        repr(tuple(row[: len(own)])): row[len(own) :]
        for row in connection.execute(rows.where(backend.keys.among(table, batch.key, keys)))
    }
    nothing = ("?",) * len(names)

    def named(key: KeyValue) -> str:
        known = found.get(repr(key), nothing)
        gone = known is nothing and set(batch.key) <= set(table.column_names)
        pairs = zip(batch.key, key, strict=True) if gone or None in known else zip(names, known, strict=True)
        return ", ".join(f"{name}={as_text(value)}" for name, value in pairs)

    return {repr(key): named(key) for key in keys}
