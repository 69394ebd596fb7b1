"""Converts driver values to JSON and back, exactly: values that JSON has no type for are tagged with their type."""

import base64
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

_OUT: tuple[tuple[type, str, Callable[[Any], str]], ...] = (
    (Decimal, "decimal", str),
    (datetime, "datetime", datetime.isoformat),  # before date: every datetime is also a date
    (date, "date", date.isoformat),
    (time, "time", time.isoformat),
    (timedelta, "microseconds", lambda v: str(v // timedelta(microseconds=1))),
    (UUID, "uuid", str),
    (bytes, "bytes", lambda v: base64.b64encode(v).decode()),
    (float, "float", float.hex),
)
_IN: dict[str, Callable[[str], Any]] = {
    "decimal": Decimal,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "microseconds": lambda v: timedelta(microseconds=int(v)),
    "uuid": UUID,
    "bytes": base64.b64decode,
    "float": float.fromhex,
}


def encode(value: Any) -> Any:
    """Return a JSON value that `decode` turns back into `value`; TypeError for a type that has no exact form."""
    if value is None or isinstance(value, bool | int | str):
        return value
    for kind, name, show in _OUT:
        if isinstance(value, kind):
            return {name: show(value)}
    raise TypeError(f"a value of type {type(value).__name__} cannot be kept as a key")


def decode(value: Any) -> Any:
    """Return the driver value that `encode` has made this JSON value of."""
    if isinstance(value, dict):
        ((name, text),) = value.items()
        return _IN[name](text)
    return value
