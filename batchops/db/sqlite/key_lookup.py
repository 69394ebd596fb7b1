"""Keys by text in SQLite, where a column's declared type is but a leaning, and a value of any type may stand in it."""

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from batchops.db.key_lookup import matched, readings, selecting, uuid_bytes
from batchops.db.sqlite import keys
from batchops.db.table import Table
from batchops.db.types import KeyValue

_WHOLE = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)


def look_up(
    connection: sa.Connection,
    table: Table,
    names: Sequence[str],
    texts: Sequence[tuple[str, ...]],
    key: Sequence[str],
) -> list[tuple[int, KeyValue]]:
    """As the family says."""
    wanted = [readings(table, names, text, _read) for text in texts]
    own, of_key = [[keys.out(table, name) for name in some] for some in (names, key)]
    return matched(wanted, selecting(connection, table, own, of_key, lambda some: keys.among(table, names, some)))


def _read(table: Table, name: str, text: str) -> Sequence[Any]:
    """By the column's affinity. Where that leaves values as they are, a text may stand for several."""
    kind = table.column(name).type.upper() if name in table.column_names else "INT"
    if "INT" in kind:
        return (_whole(text),)
    if any(word in kind for word in ("CHAR", "CLOB", "TEXT")):
        return (text,)
    if "BLOB" in kind:
        return (*_bytes(text), text)
    if any(word in kind for word in ("REAL", "FLOA", "DOUB")):
        return (float(text),)
    number = _number(text)
    return (text, *(_bytes(text) if number is None else (number,)))


def _whole(text: str) -> int:
    number = int(text) if _WHOLE.fullmatch(text) else None
    if number is None or not -(2**63) <= number < 2**63:
        raise ValueError(text)
    return number


def _number(text: str) -> int | float | None:
    """A whole one, or else a finite one."""
    with suppress(ValueError):
        return _whole(text)
    with suppress(ValueError):
        number = float(text)
        return number if math.isfinite(number) else None
    return None


def _bytes(text: str) -> Sequence[bytes]:
    """By their hexadecimal digits, or as a UUID."""
    if (uuid := uuid_bytes(text)) is not None:
        return (uuid,)
    with suppress(ValueError):
        return (bytes.fromhex(text.strip().removeprefix("0x")),)
    return ()
