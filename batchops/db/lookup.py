"""Finds the table and the key that a person named; an error names the nearest one."""

from collections.abc import Sequence

import sqlalchemy as sa

from batchops.db.backend import Backend
from batchops.db.rights import MissingRight
from batchops.db.table import Key, Table
from batchops.errors import NotFoundError, RefusedError, UsageError, did_you_mean


def find_table(connection: sa.Connection, backend: Backend, named: str) -> Table:
    """Return the table of that name; NotFoundError where there is none.

    A dot separates schema and name, unless a table has the whole text as its name. Each may be in quotes.
    """
    for schema, name in _readings(named):
        table = backend.catalog.find(connection, schema, name)
        if table is not None:
            return table
    near = did_you_mean(named, backend.catalog.tables(connection))
    for schema, name in _readings(named):
        if (denied := hidden(connection, backend, schema, name, "SELECT")) is not None:
            message = f'There is no table "{named}", or role "{denied.role}" has no right to it.'
            raise NotFoundError(message, near or f"if it is there, {denied.hint(connection.dialect)}")
    raise NotFoundError(f'There is no table "{named}".', near)


def hidden(
    connection: sa.Connection, backend: Backend, schema: str | None, name: str, rights: str
) -> MissingRight | None:  # fmt: skip
    """Return the rights to grant on a table that this role cannot see but that may exist; None where none is hidden."""
    table = Table(schema, name, "table", (), (), name)
    if not backend.catalog.hides(connection, table):
        return None
    role = backend.catalog.server(connection).role
    return MissingRight(rights, (), table, role, backend.rights.account(connection.dialect, role))


def no_column(flag: str, table: Table, name: str) -> UsageError:
    """Return the error for a column that a flag names and the table does not have."""
    return UsageError(f'{flag}: table "{table.label}" has no column "{name}".', did_you_mean(name, table.column_names))


def unquoted(name: str) -> str:
    """Return a name without the quotes around it."""
    parts = _split(name)
    return parts[0] if len(parts) == 1 and name[:1] in {'"', "`"} else name


def find_key(backend: Backend, table: Table, wanted: Sequence[str] | None) -> Key | None:
    """Return the key to follow: the one asked for, else the first one that can be followed.

    None where the table has no key; RefusedError where it has keys but none can be followed.
    """
    if wanted is not None:
        return _asked_key(backend, table, wanted)
    reasons = []
    for key in table.keys:
        refused = _refusal(backend, table, key)
        if refused is None:
            return key
        reasons.append(refused)
    if reasons:
        raise RefusedError(
            f'Table "{table.label}" has no key that can be followed: {"; ".join(reasons)}.',
            "add a unique index on other columns without NULLs.",
        )
    return None


def _asked_key(backend: Backend, table: Table, wanted: Sequence[str]) -> Key:
    names = []
    for name in wanted:
        exact = unquoted(name)
        same = (c for c in table.column_names if c == exact or (name == exact and c.lower() == name.lower()))
        found = next(same, None)
        if found is None:
            raise no_column("--key", table, name)
        names.append(found)
    # The columns must have the order of the index, as rows can be followed only in that order.
    key = next((k for k in table.keys if k.columns == tuple(names)), None)
    if key is None:
        usable = " or ".join(",".join(k.columns) for k in table.keys) or "none"
        raise RefusedError(
            f'--key: no unique index without NULLs on ({", ".join(names)}) of table "{table.label}".',
            f"usable keys: {usable}.",
        )
    if refused := _refusal(backend, table, key):
        raise RefusedError(f"--key: {refused}.")
    return key


def _refusal(backend: Backend, table: Table, key: Key) -> str | None:
    for name in key.columns:
        if name not in table.column_names:
            continue  # SQLite's hidden row number
        if reason := backend.keys.refusal(table.column(name)):
            return f'"{name}": {reason}'
    return None


def _readings(named: str) -> list[tuple[str | None, str]]:
    readings: list[tuple[str | None, str]] = [(None, named)]
    parts = _split(named)
    if len(parts) == 1 and parts[0] != named:
        readings.append((None, parts[0]))
    if len(parts) == 2:
        readings.append((parts[0], parts[1]))
    return readings


def _split(named: str) -> list[str]:
    """Split a name at the dots outside quotes; remove the quotes, and make each doubled quote a single one."""
    parts, current, quote = [], "", ""
    i = 0
    while i < len(named):
        char = named[i]
        if quote and char == quote and named[i + 1 : i + 2] == quote:
            current += char
            i += 1
        elif quote and char == quote:
            quote = ""
        elif not quote and not current and char in '"`':
            quote = char
        elif not quote and char == ".":
            parts.append(current)
            current = ""
        else:
            current += char
        i += 1
    return [*parts, current]
