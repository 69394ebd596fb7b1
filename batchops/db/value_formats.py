"""Column values outside the database: as JSON for handlers, as text in messages, keys and reports.

They are exact or the server's own text; they are never rounded and never replaced.
"""

import base64
import json
import math
import sys
from collections.abc import Collection, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from json.encoder import encode_basestring as quoted
from typing import Any


class JsonText(str):
    """A JSON document in the server's own spelling."""

    __slots__ = ()


def parse_documents(rows: Sequence[dict[str, Any]], names: Collection[str]) -> None:
    """Replace the JSON documents in these columns by Python objects, with numbers that are not rounded."""
    for name in names:
        for row in rows:
            if type(row.get(name)) is JsonText:
                row[name] = _parsed(row[name])


def as_json(value: Any) -> str:
    """Return the value as JSON on one line.

    Numbers that a JSON number would round, and moments, become strings; bytes become base64. A JSON document stays
    unchanged but for its line breaks.
    """
    kind = type(value)
    if kind is str:
        return quoted(value if _encodable(value) else _base64(_raw(value)))
    if kind is int:
        return int.__repr__(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is float and math.isfinite(value):
        return float.__repr__(value)
    if kind is JsonText:
        # Line breaks can only be blanks between the parts: inside a string, JSON escapes them.
        return str(value).replace("\n", " ").replace("\r", " ")
    if isinstance(value, bytes | bytearray | memoryview):
        return quoted(_base64(bytes(value)))
    if isinstance(value, list | tuple):
        return f"[{','.join(map(as_json, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{quoted(str(name))}:{as_json(inner)}' for name, inner in value.items())}}}"
    return quoted(as_text(value))


def as_text(value: Any) -> str:
    """Return the value as text; bytes in hexadecimal digits."""
    kind = type(value)
    if kind is str:  # nearly all values are texts, and a match takes longer
        text: str = value
        return text if text.isascii() or _encodable(text) else _raw(text).hex()
    if kind is int:
        return str(value)
    match value:
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case bool():
            return "true" if value else "false"
        case float():
            return repr(value) if math.isfinite(value) else _not_finite(value)
        case Decimal():
            return f"{value:f}" if value.is_finite() else str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return span(value)
        case list() | tuple() | dict():
            return as_json(value)
    return str(value)


def as_bytes(value: Any) -> bytes:
    """Return the value as the content of a message: bytes unchanged, any other value as its text."""
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:  # bytes that are not valid text
            return _raw(value)
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else as_text(value).encode()


def span(value: timedelta) -> str:
    """Return a duration in hours, minutes and seconds, as PostgreSQL and MySQL write it: `-838:59:59`, `26:00:00.5`."""
    seconds, part = divmod(abs(value) // timedelta(microseconds=1), 1_000_000)
    minutes, hours = seconds // 60 % 60, seconds // 3600
    fraction = f".{part:06}" if part else ""
    return f"{'-' if value < timedelta(0) else ''}{hours:02}:{minutes:02}:{seconds % 60:02}{fraction}"


def _parsed(document: JsonText) -> Any:
    return json.loads(document, parse_float=Decimal, parse_int=_whole)


def _whole(digits: str) -> int | Decimal:
    """Return the whole number; as a Decimal if it has more digits than Python's `int` reads."""
    return int(digits) if len(digits) < sys.int_info.default_max_str_digits else Decimal(digits)


def _encodable(text: str) -> bool:
    """Whether the text is valid Unicode: SQLite stores any bytes as text, which Python reads as lone surrogates."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _not_finite(value: float) -> str:
    """Return NaN or an infinity as PostgreSQL writes it."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
