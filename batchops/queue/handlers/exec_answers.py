"""Reads a program's answers to the rows of a batch: which row each is about, and whether they can be trusted."""

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from batchops.queue.handlers import Failed, Result, Values, json_line

_VERDICT = ("ok", "error", "final")


class Answers:
    """The answers to one batch of rows, added as they arrive.

    An answer with a key belongs to the row of that key. Answers without keys are matched to the rows by their order.
    They count only if there is one for each row: with one line too many or too few, no answer's row is known.
    """

    def __init__(self, rows: Sequence[Values], key: Sequence[str], earlier: frozenset[str] = frozenset()) -> None:
        """`key`: the columns that identify a row. `earlier`: names of the rows of the batch before."""
        self.lines = [json_line(row) for row in rows]
        self._key = tuple(key)
        names = [_name([sent.get(column) for column in self._key]) for sent in map(_read, self.lines)]
        self.names = frozenset(names)
        self._place = {name: place for place, name in enumerate(names)}
        self._earlier = earlier
        self._by_key: dict[int, Result] = {}
        self._in_order: list[Result] = []
        self.heard = 0
        """Lines that the program has printed so far, valid or not."""
        self.wrong = ""
        """Why none of the answers can be trusted; "" if nothing is wrong so far."""
        self.stray = False
        """Whether the last keyed answer that named no row of this batch was for an earlier batch."""

    @property
    def count(self) -> int:
        """Return the number of lines that were results."""
        return len(self._by_key) + len(self._in_order)

    @property
    def full(self) -> bool:
        """Whether there is an answer for each row."""
        return self.count >= len(self.lines)

    @property
    def keyed(self) -> bool:
        """Whether the answers name their rows."""
        return not self._in_order and bool(self._by_key)

    @property
    def results(self) -> Mapping[int, Result]:
        """Return the results that can be trusted, by the row's place in the batch."""
        if self.wrong:
            return {}
        if self.keyed:
            return self._by_key
        return dict(enumerate(self._in_order)) if self.full else {}

    def add(self, text: str) -> None:
        """Add one line that the program has printed."""
        self.heard += 1
        try:
            self._add(_read(text), text)
        except ValueError:
            self.wrong = self.wrong or f"with text that is not JSON: {_short(text)}"

    def unfinished(self, text: str) -> None:
        """Add a line without an end, once no more of it is expected: none of the answers can be trusted then."""
        self.wrong = self.wrong or f"with an unfinished line: {_short(text)}"

    def _add(self, answer: Any, text: str) -> None:
        result, fields = _verdict(answer)
        if result is _NONE:
            self.wrong = self.wrong or f"with JSON that is not a result: {_short(text)}"
        elif (names := list(self._named(fields))) or "key" in fields:
            self._keyed(names, result, text)
        elif len(self._in_order) == len(self.lines):
            self.wrong = self.wrong or f"with more lines than the {len(self.lines)} rows that it was given"
        else:
            self._in_order.append(result)
        if self._in_order and self._by_key:
            self.wrong = self.wrong or "with a key for some rows and without for others"

    def _keyed(self, names: Sequence[str], result: Result, text: str) -> None:
        place = next((self._place[name] for name in names if name in self._place), None)
        if place is None:
            self.stray = bool(self._earlier.intersection(names))
            self.wrong = self.wrong or ("" if self.stray else f"for a row that it was not given: {_short(text)}")
        elif place in self._by_key or len(self._place) < len(self.lines):
            self.wrong = self.wrong or f"more than once for one row: {_short(text)}"
        else:
            self._by_key[place] = result

    def _named(self, fields: Mapping[str, Any]) -> Iterator[str]:
        """Yield the names of the row that the answer may mean: by the row's key columns, and by the field "key"."""
        if set(self._key) <= fields.keys() and not set(self._key) & set(_VERDICT):
            yield _name([fields[column] for column in self._key])
        match fields.get("key"):
            case dict() as key if set(key) == set(self._key):
                yield _name([key[column] for column in self._key])
            case list() as key if len(key) == len(self._key):
                yield _name(key)
            case None:
                return
            case key if len(self._key) == 1:
                yield _name([key])


_NONE = Failed("no result")
_NOT_OK = "the program answered that the row is not ok"


def _verdict(answer: Any) -> tuple[Result, Mapping[str, Any]]:
    """Return the result that an answer means, and its fields; the result is _NONE if the answer has none."""
    if isinstance(answer, dict):
        return _verdict_of(answer), answer
    match answer:
        case None | True:
            return None, {}
        case False:
            return Failed("the program answered false"), {}
        case str() if not isinstance(answer, _Number):
            return Failed(answer or _NOT_OK), {}
    return _NONE, {}


def _verdict_of(fields: Mapping[str, Any]) -> Result:
    final = fields.get("final") is True
    match fields:
        case {"ok": True, "error": None | False | ""}:
            return None
        case {"error": reason} if reason is not None:
            answer = reason if isinstance(reason, str) else json.dumps(reason, ensure_ascii=False)
            return Failed(answer or _NOT_OK, final=final)
        case {"ok": True}:
            return None
        case {"ok": False}:
            return Failed(_NOT_OK, final=final)
        case {"key": _} if len(fields) == 1:
            return None
    return _NONE


def _read(text: str) -> Any:
    """Parse JSON with each number as a text in one normal form: nothing is rounded, and 5 and "5" are the same key."""
    return json.loads(text, parse_int=_Number, parse_float=lambda number: _Number(f"{Decimal(number).normalize():f}"))


class _Number(str):
    """The text of a JSON number, which is not taken for the reason of a failure."""

    __slots__ = ()


def _name(values: Sequence[Any]) -> str:
    """Return a key as one text, different for each key."""
    return json.dumps([value if isinstance(value, str) else json.dumps(value) for value in values], ensure_ascii=False)


def _short(text: str) -> str:
    return text.strip()[:80] or "an empty line"
