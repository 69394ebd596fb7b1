"""Tells rows that the database refuses from the others of a batch, inside the batch's own transaction."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.database import Database
from batchops.db.family import KeyValue
from batchops.errors import RowRefusedError
from batchops.walks.part import Part

MOST_REFUSED, LEAST = 20, 50
"""Refused rows that a batch is expected to hold at the most; rows below which it is not made smaller for that."""

Work = Callable[[sa.Connection, Part], int]
"""The writing statement for a part's rows; how many it changed, RowRefusedError for one that may not be."""


@dataclass(frozen=True)
class Sifted:
    """What became of the listed rows."""

    rows: int
    refused: tuple[tuple[KeyValue, str], ...]
    """Keys and reasons, in the part's order."""


class Sifter:
    """Works on groups of rows, each under a savepoint; a group that is refused is halved.

    How large a group begins follows the share of rows that was refused before: a few bad rows in a thousand cost
    some statements more, and where every row is bad each one is tried once.
    """

    def __init__(self, database: Database, work: Work) -> None:
        self._database = database
        self._work = work
        self._share = 0.0
        self._named: KeyValue | None = None
        """The row of the last group that the server itself named."""

    def most(self, rows: int) -> int:
        """As many of so many rows as a batch may hold, so that it does not search for too many of them."""
        return min(rows, max(LEAST, round(MOST_REFUSED / self._share))) if self._share else rows

    def expects(self, rows: int) -> bool:
        """Whether so many rows will probably hold one that is refused."""
        return self._share * rows >= 0.5

    def __call__(self, connection: sa.Connection, part: Part, *, roughly: bool = False) -> Sifted:
        """All rows of the part, from the last: rows that refer to others of their table mostly come after them.

        `roughly`: a small group is refused as a whole, as it is tried again later.
        """
        changed, refused = 0, []
        least = max(1, len(part.keys) // 16) if roughly else 1
        groups = self._groups(part.keys)
        while groups:
            keys = groups.pop()
            done = self._try(connection, part, keys)
            if isinstance(done, int):
                changed += done
            elif len(keys) <= least:
                refused += [(key, done.message) for key in keys]
            elif self._named in keys:
                # Most servers go through the rows in order: what comes before the one that it names was all right.
                at = keys.index(self._named)
                refused.append((keys[at], done.message))
                groups += [some for some in (keys[:at], keys[at + 1 :]) if some]
            else:
                middle = len(keys) // 2
                groups += [keys[:middle], keys[middle:]]
        self._share = (self._share + len(refused) / max(1, len(part.keys))) / 2
        place = {repr(key): i for i, key in enumerate(part.keys)}
        refused.sort(key=lambda one: place[repr(one[0])])
        return Sifted(changed, tuple(refused))

    def _groups(self, keys: tuple[KeyValue, ...]) -> list[tuple[KeyValue, ...]]:
        size = max(1, min(len(keys), round(1 / self._share) if self._share else len(keys)))
        return [keys[i : i + size] for i in range(0, len(keys), size)]

    def _try(self, connection: sa.Connection, part: Part, keys: tuple[KeyValue, ...]) -> int | RowRefusedError:
        self._named = None
        where = self._database.family.among(part.selection.table, part.key, keys)
        connection.exec_driver_sql("SAVEPOINT sifting")
        try:
            done: int | RowRefusedError = self._work(connection, replace(part, where=where, keys=keys, found=len(keys)))
        except RowRefusedError as error:
            done = error
        except DBAPIError as error:
            refused = self._database.error(error)
            if not isinstance(refused, RowRefusedError):
                raise
            done = refused
            self._named = self._row(error, part, keys)
        if isinstance(done, RowRefusedError):
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT sifting")
        connection.exec_driver_sql("RELEASE SAVEPOINT sifting")
        return done

    def _row(self, error: DBAPIError, part: Part, keys: tuple[KeyValue, ...]) -> KeyValue | None:
        """The row that the server names by its first column, where that is the key."""
        table = part.selection.table
        if part.key != table.column_names[:1]:
            return None
        text = self._database.family.refused_row(error, table)
        return next((key for key in keys if str(key[0]) == text), None) if text is not None else None
