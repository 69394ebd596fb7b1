"""How matching rows are read, kept and found again: as whole numbers where they can be, else as keys of any type."""

import json
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.bulk.strategies.address_spool import AddressSpool
from batchops.bulk.strategies.cursor import Range
from batchops.bulk.strategies.scratch_file import ScratchFile
from batchops.db.addresses import Addresses
from batchops.db.backend import Backend
from batchops.db.json_values import decode, encode
from batchops.db.keys import Keys
from batchops.db.table import Table
from batchops.db.types import KeyValue

_AT_ONCE = 10_000
_EVERY = 64
"""Of so many keys in a file one has its place remembered."""


class Spool(Protocol):
    """The rows of one reading, in order."""

    def __len__(self) -> int: ...

    def add(self, some: Any) -> None:
        """More of them."""

    def sort(self) -> None:
        """All are added."""

    def between(self, range_: Range) -> tuple[int, int] | None:
        """The places of the range's rows; None where the range reaches beyond what was read."""

    def key(self, place: int) -> KeyValue:
        """The key of the row at that place."""

    def slice(self, start: int, end: int) -> Any:
        """The rows at these places, as `MatchedRows` takes them."""

    def close(self) -> None:
        """Let go of the file, if there is one."""


class MatchedRows(Protocol):
    """One way to name rows."""

    longest_list: int
    """How many `among` takes at the most."""

    def spool(self, range_: Range) -> Spool:
        """An empty one for the rows of that range."""

    def columns(self) -> tuple[Sequence[sa.ColumnElement[Any]], Sequence[sa.ColumnElement[Any]]]:
        """What is selected of each row, and what it is ordered by."""

    def read(self, connection: sa.Connection, rows: sa.Select[Any]) -> Iterator[Any]:
        """What `rows` selects, many at a time, as a spool takes it."""

    def among(self, found: Any) -> sa.ColumnElement[bool]:
        """These rows, each looked up by itself."""

    def listed(self, keys: Sequence[KeyValue]) -> Any:
        """The rows with these keys, as `among` takes them."""

    def keys(self, found: Any) -> tuple[KeyValue, ...]:
        """Their keys."""

    def most_between(self, first: KeyValue, last: KeyValue) -> int | None:
        """How many rows can lie from one key to another; None where their values do not say."""


class _WholeSpool:
    def __init__(self, addresses: Addresses, width: int, range_: Range) -> None:
        self._addresses, self._spool, self._range = addresses, AddressSpool(width), range_
        self.add, self.sort, self.slice, self.close = (
            self._spool.add, self._spool.sort, self._spool.slice, self._spool.close,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self._spool)

    def key(self, place: int) -> KeyValue:
        return self._addresses.key(self._spool[place])

    def between(self, range_: Range) -> tuple[int, int] | None:
        number = self._addresses.numbers
        first, last = self._range.after, self._range.upto
        if first is not None and (range_.after is None or number(range_.after) < number(first)):
            return None
        if last is not None and (range_.upto is None or number(range_.upto) > number(last)):
            return None
        return self._spool.between(
            None if range_.after is None else number(range_.after), None if range_.upto is None else number(range_.upto)
        )


class WholeRows:
    """By whole numbers: eight bytes for each."""

    def __init__(self, addresses: Addresses, keys: Keys, table: Table, names: Sequence[str], width: int) -> None:
        self._addresses, self._keys, self._table = addresses, keys, table
        self._names, self._width = tuple(names), width
        self.longest_list = addresses.longest_list
        self.read = addresses.read

    def spool(self, range_: Range) -> Spool:
        """Sorted here: the server gives them in whatever order it finds them."""
        return _WholeSpool(self._addresses, self._width, range_)

    def columns(self) -> tuple[Sequence[sa.ColumnElement[Any]], Sequence[sa.ColumnElement[Any]]]:
        """The bare columns, or the hidden one of a row's place."""
        return [self._keys.order(self._table, name) for name in self._names], ()

    def among(self, found: "array[int]") -> sa.ColumnElement[bool]:
        """By the database's shortest list of numbers."""
        return self._addresses.among(self._table, self._names, found)

    def listed(self, keys: Sequence[KeyValue]) -> "array[int]":
        """Flat numbers."""
        return array("q", [number for key in keys for number in self._addresses.numbers(key)])

    def keys(self, found: "array[int]") -> tuple[KeyValue, ...]:
        """Number by number."""
        columns = (found[i :: self._width] for i in range(self._width))
        return tuple(map(self._addresses.key, zip(*columns, strict=True)))

    def most_between(self, first: KeyValue, last: KeyValue) -> int | None:
        """As many as there are numbers, where only the last one differs."""
        low, high = self._addresses.numbers(first), self._addresses.numbers(last)
        return high[-1] - low[-1] + 1 if low[:-1] == high[:-1] else None


class _KeySpool:
    """Keys as lines of a file, in the server's order. Only the ends of ranges that it has given itself are known."""

    def __init__(self, range_: Range) -> None:
        self._file = ScratchFile()
        self._starts = array("Q")
        self._rows = 0
        self._places: dict[KeyValue | None, int] = {}
        self._range = range_

    def __len__(self) -> int:
        return self._rows

    def add(self, some: Sequence[KeyValue]) -> None:
        """In the order of those before."""
        lines = [json.dumps([encode(value) for value in key]).encode() for key in some]
        start = self._file.size
        for line in lines:
            if self._rows % _EVERY == 0:
                self._starts.append(start)
            start += len(line) + 1
            self._rows += 1
        self._file.add(b"".join(line + b"\n" for line in lines))

    def sort(self) -> None:
        """They came in order."""
        self._starts.append(self._file.size)

    def between(self, range_: Range) -> tuple[int, int] | None:
        """By what is known of its ends."""
        start = 0 if range_.after == self._range.after else self._places.get(range_.after)
        end = self._rows if range_.upto == self._range.upto else self._places.get(range_.upto)
        return None if start is None or end is None else (start, end)

    def key(self, place: int) -> KeyValue:
        """It may end a range from now on."""
        (key,) = self.slice(place, place + 1)
        self._places[key] = place + 1
        return key

    def slice(self, start: int, end: int) -> tuple[KeyValue, ...]:
        """Read from the file."""
        if start >= end:
            return ()
        first, last = start // _EVERY, min((end - 1) // _EVERY + 1, len(self._starts) - 1)
        begins = self._starts[first]
        lines = islice(
            self._file.read(begins, self._starts[last] - begins).splitlines(),
            start - first * _EVERY,
            end - first * _EVERY,
        )
        return tuple(tuple(map(decode, json.loads(line))) for line in lines)

    def close(self) -> None:
        """It is gone with that."""
        self._file.close()


class AnyRows:
    """By keys of any type, in the server's own order."""

    def __init__(self, backend: Backend, table: Table, names: Sequence[str]) -> None:
        self._keys, self._table, self._names = backend.keys, table, tuple(names)
        self.longest_list = backend.keys.longest_list

    def spool(self, range_: Range) -> Spool:
        """In a file: nobody knows how long keys are."""
        return _KeySpool(range_)

    def columns(self) -> tuple[Sequence[sa.ColumnElement[Any]], Sequence[sa.ColumnElement[Any]]]:
        """As keys are read and ordered everywhere."""
        out = [self._keys.out(self._table, name).label(f"k{i}") for i, name in enumerate(self._names)]
        return out, [self._keys.order(self._table, name) for name in self._names]

    def read(self, connection: sa.Connection, rows: sa.Select[Any]) -> Iterator[list[KeyValue]]:
        """A row for each; the server need not keep all of them for us."""
        found = connection.execute(rows, execution_options={"stream_results": True})
        for some in found.partitions(_AT_ONCE):
            yield [tuple(row) for row in some]

    def among(self, found: Sequence[KeyValue]) -> sa.ColumnElement[bool]:
        """By the index on the key."""
        return self._keys.among(self._table, self._names, found)

    def listed(self, keys: Sequence[KeyValue]) -> Sequence[KeyValue]:
        """They are that."""
        return keys

    def keys(self, found: Sequence[KeyValue]) -> tuple[KeyValue, ...]:
        """As they are."""
        return tuple(found)

    def most_between(self, first: KeyValue, last: KeyValue) -> int | None:  # noqa: ARG002
        """They do not."""
        return None


def matched_rows(backend: Backend, table: Table, names: Sequence[str]) -> MatchedRows:
    """The rows of a table by a key."""
    width = backend.whole_keys.width(table, names)
    if width is None:
        return AnyRows(backend, table, names)
    return WholeRows(backend.whole_keys, backend.keys, table, names, width)
