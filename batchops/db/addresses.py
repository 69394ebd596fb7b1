"""Addresses: the whole numbers by which rows are read many at a time, kept in little space, and found again."""

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.table import Table
from batchops.db.types import KeyValue

Numbers = tuple[int, ...]
"""One row's address; numbers have the order of the rows that they name."""


class Addresses(Protocol):
    """Rows by what is a whole number to this database: their place in the table, or the whole columns of a key."""

    look_up: float
    """What it costs to read a row by its address and to find it again, for one that is read in the table's order."""
    longest_list: int
    """How many rows `among` takes at the most."""

    def width(self, table: Table, names: Sequence[str]) -> int | None:
        """How many numbers name a row by these columns; None where another kind of value does."""

    def read(self, connection: sa.Connection, rows: sa.Select[Any]) -> Iterator["array[int]"]:
        """The addresses that `rows` selects, flat, in whatever order. TooManyAddressesError: more than at once can be.

        `rows` selects the bare columns, which have a `width`.
        """

    def among(self, table: Table, names: Sequence[str], addresses: "array[int]") -> sa.ColumnElement[bool]:
        """Rows with one of these addresses, each looked up by itself."""

    def numbers(self, key: KeyValue) -> Numbers:
        """The address that a key of these columns is."""

    def key(self, numbers: Numbers) -> KeyValue:
        """The key that an address is, as `Keys` takes it."""


class TooManyAddressesError(Exception):
    """More addresses than the database can give at once: they have to be read in parts."""
