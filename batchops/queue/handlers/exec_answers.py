"""The answers of a program to the rows of a batch: which row each is about, and whether they can be trusted."""

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from batchops.queue.handlers import Failed, Result, Values, json_line

_VERDICT = ("ok", "error", "final")


class Answers:
    """The answers to one batch of rows, taken as they come.

    Answers that name their row's key belong to that row. Answers without are matched by their order, and count only
    as a whole: one line too many or too few, and nobody knows which row any of them is about.
    """

    def __init__(self, rows: Sequence[Values], key: Sequence[str], earlier: frozenset[str] = frozenset()) -> None:
        """`key`: the columns that tell rows apart. `earlier`: names of rows that were answered before."""
        self.lines = [json_line(row) for row in rows]
        self._key = tuple(key)
        names = [_name([sent.get(column) for column in self._key]) for sent in map(_read, self.lines)]
        self.names = frozenset(names)
        self._place = {name: place for place, name in enumerate(names)}
        self._earlier = earlier
        self._by_key: dict[int, Result] = {}
        self._in_order: list[Result] = []
        self.heard = 0
        """Lines so far, whatever they say."""
        self.wrong = ""
        """Why none of the answers can be trusted; empty where nothing is wrong so far."""
        self.stray = False
        """Whether an answer to an earlier batch came too."""

    @property
    def count(self) -> int:
        """Lines that were results."""
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
        """Results by the row's place in the batch, as far as they can be trusted."""
        if self.wrong:
            return {}
        if self.keyed:
            return self._by_key
        return dict(enumerate(self._in_order)) if self.full else {}

    def add(self, text: str) -> None:
        """Take one line that the program has said."""
        self.heard += 1
        try:
            self._add(_read(text), text)
        except ValueError:
            self.wrong = self.wrong or f"with text that is not JSON: {_short(text)}"

    def unfinished(self, text: str) -> None:
        """Take what it has said without an end of line, once it is known to say no more."""
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
        """The names that the answer may give to its row: by the row's own columns, or by "key"."""
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
    """What a line says of a row, and its fields; _NONE where it says nothing."""
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
    """JSON whose numbers are texts, each written in one way: nothing is rounded, 5 and "5" are the same key."""
    return json.loads(text, parse_int=_Number, parse_float=lambda number: _Number(f"{Decimal(number).normalize():f}"))


class _Number(str):
    """A number as it was written: no reason for a failure."""

    __slots__ = ()


def _name(values: Sequence[Any]) -> str:
    """A key as one text, another for every other key."""
    return json.dumps([value if isinstance(value, str) else json.dumps(value) for value in values], ensure_ascii=False)


def _short(text: str) -> str:
    return text.strip()[:80] or "an empty line"
