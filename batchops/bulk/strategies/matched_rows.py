"""How matching rows are read, kept and found again: as whole numbers if possible, else as keys of any type."""

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
"""The place of every 64th key in a file is remembered."""


class Spool(Protocol):
    """The rows that one reading found, in order."""

    def __len__(self) -> int: ...

    def add(self, some: Any) -> None:
        """Add rows."""

    def sort(self) -> None:
        """Put the rows in order; all have been added."""

    def between(self, range_: Range) -> tuple[int, int] | None:
        """Return the places of the range's rows; None if the range reaches beyond what was read."""

    def key(self, place: int) -> KeyValue:
        """Return the key of the row at that place."""

    def slice(self, start: int, end: int) -> Any:
        """Return the rows at these places, in the form that `MatchedRows` takes."""

    def close(self) -> None:
        """Close the file, if there is one."""


class MatchedRows(Protocol):
    """One way to identify rows."""

    longest_list: int
    """The most rows that `among` takes."""

    def spool(self, range_: Range) -> Spool:
        """Return an empty spool for the rows of the range."""

    def columns(self) -> tuple[Sequence[sa.ColumnElement[Any]], Sequence[sa.ColumnElement[Any]]]:
        """Return the columns to select of each row, and those to order the rows by."""

    def read(self, connection: sa.Connection, rows: sa.Select[Any]) -> Iterator[Any]:
        """Yield what `rows` selects, many rows at a time, in the form that a spool takes."""

    def among(self, found: Any) -> sa.ColumnElement[bool]:
        """Return the condition for these rows, by which each is looked up."""

    def listed(self, keys: Sequence[KeyValue]) -> Any:
        """Return the rows with these keys, in the form that `among` takes."""

    def keys(self, found: Any) -> tuple[KeyValue, ...]:
        """Return the keys of these rows."""

    def most_between(self, first: KeyValue, last: KeyValue) -> int | None:
        """Return how many rows can lie from one key to another; None if their values do not tell."""


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
    """Identifies rows by whole numbers, of eight bytes each."""

    def __init__(self, addresses: Addresses, keys: Keys, table: Table, names: Sequence[str], width: int) -> None:
        self._addresses, self._keys, self._table = addresses, keys, table
        self._names, self._width = tuple(names), width
        self.longest_list = addresses.longest_list
        self.read = addresses.read

    def spool(self, range_: Range) -> Spool:
        """Return a spool that sorts: the server returns the rows in any order."""
        return _WholeSpool(self._addresses, self._width, range_)

    def columns(self) -> tuple[Sequence[sa.ColumnElement[Any]], Sequence[sa.ColumnElement[Any]]]:
        """Return the bare columns, or the hidden one of a row's place; in no order."""
        return [self._keys.order(self._table, name) for name in self._names], ()

    def among(self, found: "array[int]") -> sa.ColumnElement[bool]:
        """Return the condition as the database's shortest list of numbers."""
        return self._addresses.among(self._table, self._names, found)

    def listed(self, keys: Sequence[KeyValue]) -> "array[int]":
        """Return the keys as a flat array of numbers."""
        return array("q", [number for key in keys for number in self._addresses.numbers(key)])

    def keys(self, found: "array[int]") -> tuple[KeyValue, ...]:
        """Return the keys that the flat array holds."""
        columns = (found[i :: self._width] for i in range(self._width))
        return tuple(map(self._addresses.key, zip(*columns, strict=True)))

    def most_between(self, first: KeyValue, last: KeyValue) -> int | None:
        """Return how many numbers lie from one to the other, if only the last column differs; else None."""
        low, high = self._addresses.numbers(first), self._addresses.numbers(last)
        return high[-1] - low[-1] + 1 if low[:-1] == high[:-1] else None


class _KeySpool:
    """Keys as lines of a file, in the server's order. It knows the ends of its own range, and keys that it returned."""

    def __init__(self, range_: Range) -> None:
        self._file = ScratchFile()
        self._starts = array("Q")
        self._rows = 0
        self._places: dict[KeyValue | None, int] = {}
        self._range = range_

    def __len__(self) -> int:
        return self._rows

    def add(self, some: Sequence[KeyValue]) -> None:
        """Add keys, which come in order."""
        lines = [json.dumps([encode(value) for value in key]).encode() for key in some]
        start = self._file.size
        for line in lines:
            if self._rows % _EVERY == 0:
                self._starts.append(start)
            start += len(line) + 1
            self._rows += 1
        self._file.add(b"".join(line + b"\n" for line in lines))

    def sort(self) -> None:
        """Note the end of the file: the keys came in order."""
        self._starts.append(self._file.size)

    def between(self, range_: Range) -> tuple[int, int] | None:
        """Return the places of a range whose ends are known; else None."""
        start = 0 if range_.after == self._range.after else self._places.get(range_.after)
        end = self._rows if range_.upto == self._range.upto else self._places.get(range_.upto)
        return None if start is None or end is None else (start, end)

    def key(self, place: int) -> KeyValue:
        """Return the key, and remember its place: it may end a range from now on."""
        (key,) = self.slice(place, place + 1)
        self._places[key] = place + 1
        return key

    def slice(self, start: int, end: int) -> tuple[KeyValue, ...]:
        """Read the keys at these places from the file."""
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
        """Close the file, which deletes it."""
        self._file.close()


class AnyRows:
    """Identifies rows by keys of any type, in the server's own order."""

    def __init__(self, backend: Backend, table: Table, names: Sequence[str]) -> None:
        self._keys, self._table, self._names = backend.keys, table, tuple(names)
        self.longest_list = backend.keys.longest_list

    def spool(self, range_: Range) -> Spool:
        """Return a spool in a file, as keys may be of any length."""
        return _KeySpool(range_)

    def columns(self) -> tuple[Sequence[sa.ColumnElement[Any]], Sequence[sa.ColumnElement[Any]]]:
        """Return the columns as keys are read and ordered everywhere."""
        out = [self._keys.out(self._table, name).label(f"k{i}") for i, name in enumerate(self._names)]
        return out, [self._keys.order(self._table, name) for name in self._names]

    def read(self, connection: sa.Connection, rows: sa.Select[Any]) -> Iterator[list[KeyValue]]:
        """Yield keys, many at a time. The rows are streamed, so that they are never all in memory."""
        found = connection.execute(rows, execution_options={"stream_results": True})
        for some in found.partitions(_AT_ONCE):
            yield [tuple(row) for row in some]

    def among(self, found: Sequence[KeyValue]) -> sa.ColumnElement[bool]:
        """Return the condition, which the index on the key serves."""
        return self._keys.among(self._table, self._names, found)

    def listed(self, keys: Sequence[KeyValue]) -> Sequence[KeyValue]:
        """Return the keys unchanged."""
        return keys

    def keys(self, found: Sequence[KeyValue]) -> tuple[KeyValue, ...]:
        """Return the rows unchanged: they are keys."""
        return tuple(found)

    def most_between(self, first: KeyValue, last: KeyValue) -> int | None:  # noqa: ARG002
        """Return None: the values of keys of any type do not tell."""
        return None


def matched_rows(backend: Backend, table: Table, names: Sequence[str]) -> MatchedRows:
    """Return the way to identify the rows of a table by a key: by whole numbers if the key's types allow it."""
    width = backend.whole_keys.width(table, names)
    if width is None:
        return AnyRows(backend, table, names)
    return WholeRows(backend.whole_keys, backend.keys, table, names, width)
