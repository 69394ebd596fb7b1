"""Looks up the rows that a file of ids names, before anything is written."""

from collections.abc import Callable, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.bulk.strategies.id_file import Entry, IdFile
from batchops.bulk.strategies.id_spool import IdList
from batchops.db.database import Database
from batchops.db.table import Key, Table
from batchops.db.types import KeyValue
from batchops.errors import BatchopsError, RefusedError, RowRefusedError, TransientError

LookUp = Callable[[Sequence[Entry]], list[tuple[int, KeyValue]]]
IDS_PER_STATEMENT = 1_000
"""How many ids one statement looks up."""


def listed_ids(
    connection: sa.Connection,
    database: Database,
    table: Table,
    key: Key | None,
    file: IdFile,
    nullable_keys: Sequence[Key] = (),
) -> IdList:
    """Return the file's ids with the rows that exist; UsageError with the line of an id that cannot be read."""
    if key is None:
        raise RefusedError(
            f'--ids: table "{table.label}" has no primary key or unique index without NULLs that ids could refer to.',
            "add one, or load the ids into a table and name it in --where.",
        )
    ids = IdList(file.spool(), len(key.columns), file.digest())
    file.open.callback(ids.close)
    names = _named(table, key, nullable_keys)
    ids.spool(file.entries(names))

    def look_up(entries: Sequence[Entry]) -> list[tuple[int, KeyValue]]:
        return database.backend.keys.look_up(connection, table, names, [texts for _, texts in entries], key.columns)

    for some in ids.spooled(IDS_PER_STATEMENT):
        found = _looked_up(connection, database, look_up, file, some)
        ids.add([row for _, row in found], len({place for place, _ in found}))
    ids.ready()
    return ids


def _named(table: Table, key: Key, nullable_keys: Sequence[Key]) -> tuple[str, ...]:
    """Return the columns that ids name: the key; or the primary key, if it may hold NULLs and the rowid is followed."""
    if all(name in table.column_names for name in key.columns):
        return key.columns
    return next((one.columns for one in nullable_keys if one.primary), key.columns)


def _looked_up(
    connection: sa.Connection, database: Database, look_up: LookUp, file: IdFile, entries: Sequence[Entry]
) -> list[tuple[int, KeyValue]]:  # fmt: skip
    """Return the rows with the places of their entries. If the server refuses entries, halving finds the first one."""
    found = _asked(connection, database, look_up, entries)
    if not isinstance(found, BatchopsError):
        return found
    if len(entries) == 1:
        hint = found.hint if isinstance(found, RowRefusedError) else ""
        raise file.wrong(entries[0][0], found.message, hint) from found
    for half in (entries[: len(entries) // 2], entries[len(entries) // 2 :]):
        _looked_up(connection, database, look_up, file, half)
    raise found  # the server takes each half, but not both together


def _asked(
    connection: sa.Connection, database: Database, look_up: LookUp, entries: Sequence[Entry]
) -> list[tuple[int, KeyValue]] | BatchopsError:  # fmt: skip
    connection.exec_driver_sql("SAVEPOINT reading_ids")
    found: list[tuple[int, KeyValue]] | BatchopsError
    try:
        found = look_up(entries)
    except RowRefusedError as error:
        found = error
    except DBAPIError as error:
        found = database.error(error)
        if isinstance(found, TransientError):
            raise
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT reading_ids")
    connection.exec_driver_sql("RELEASE SAVEPOINT reading_ids")
    return found
