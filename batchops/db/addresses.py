"""Addresses of rows as whole numbers: read many at a time, kept in little memory, and looked up again."""

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from batchops.db.table import Table
from batchops.db.types import KeyValue

Numbers = tuple[int, ...]
"""The address of one row; addresses sort as the rows that they name."""


class Addresses(Protocol):
    """Reads and finds rows by whole numbers: by their place in the table, or by the integer columns of a key."""

    look_up: float
    """The cost of reading a row by its address and finding it again; a row read in the table's order costs 1."""
    longest_list: int
    """The most addresses that `among` takes."""

    def width(self, table: Table, names: Sequence[str]) -> int | None:
        """Return how many numbers an address by these columns has; None where the columns are not all whole numbers."""

    def read(self, connection: sa.Connection, rows: sa.Select[Any]) -> Iterator["array[int]"]:
        """Yield the addresses that `rows` selects, as flat arrays of numbers, in any order.

        `rows` selects the bare columns, which have a `width`. TooManyAddressesError: the database cannot give so many.
        """

    def among(self, table: Table, names: Sequence[str], addresses: "array[int]") -> sa.ColumnElement[bool]:
        """Return the condition for the rows with one of these addresses; the server looks up each one by itself."""

    def numbers(self, key: KeyValue) -> Numbers:
        """Return the address of the row that has this key."""

    def key(self, numbers: Numbers) -> KeyValue:
        """Return the key of the row that has this address, as `Keys` takes it."""


class TooManyAddressesError(Exception):
    """The database cannot give so many addresses at once: the caller has to read them in parts."""
