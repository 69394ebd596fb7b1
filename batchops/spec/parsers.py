"""Parsers of texts in flags and recipes; they leave values that are not texts to pydantic."""

import os
import re
from datetime import datetime, time
from zoneinfo import ZoneInfo

from batchops import durations
from batchops.runtime.limits import Window
from batchops.runtime.rate import Rate

_UNITS = {"": 1, "b": 1, "kb": 10**3, "kib": 2**10, "mb": 10**6, "mib": 2**20, "gb": 10**9, "gib": 2**30}
_SIZE = re.compile(rf"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>{'|'.join(_UNITS)})", re.IGNORECASE)
SIZE = {
    "anyOf": [
        {"type": "integer", "minimum": 1},
        {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*([kKmMgG][iI]?)?[bB]?\s*$"},
    ]
}
"""The JSON Schema of a size."""


def duration(value: object) -> object:
    """Return `1h30m` as a timedelta; a bare number is refused, as it has no unit."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f'{value:g} has no unit: write it like "{value:g}s", in quotes')
    return durations.parse(value) if isinstance(value, str) else value


def path(value: object) -> object:
    """Return a path as text."""
    return os.fsdecode(value) if isinstance(value, os.PathLike) else value


_RATE = re.compile(r"(?P<number>\d[\d_]*(?:\.\d+)?)\s*/\s*(?P<unit>s|min|h)")
_SECONDS = {"s": 1, "min": 60, "h": 3600}


def rate(value: object) -> object:
    """Return `5000/s` as a Rate; a bare number is refused, as it has no unit of time."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f'{value:g} has no unit: write it like "{value:g}/s", in quotes')
    if not isinstance(value, str):
        return value
    found = _RATE.fullmatch(value.strip())
    if found is None or not float(found["number"]):
        raise ValueError(f'"{value}" is not a rate above 0, like 5000/s or 300/min')
    return Rate(float(found["number"]) / _SECONDS[found["unit"]], value.strip())


def bytes_rate(value: object) -> object:
    """Return `20MB/s` as a Rate of bytes."""
    if not isinstance(value, str):
        return value
    number, mark, unit = value.strip().rpartition("/")
    if not mark or unit.strip() not in _SECONDS or not _SIZE.fullmatch(number.strip()):
        raise ValueError(f'"{value}" is not a rate of bytes, like 20MB/s or 500MiB/min')
    found = size(number)
    if not isinstance(found, int) or found <= 0:
        raise ValueError(f'"{value}" is not a rate above 0, like 20MB/s')
    return Rate(found / _SECONDS[unit.strip()], value.strip(), "max-bytes-rate")


def size(value: object) -> object:
    """Return `16MiB` as a number of bytes; a bare number counts bytes."""
    if not isinstance(value, str):
        return value
    found = _SIZE.fullmatch(value.strip())
    if found is None:
        raise ValueError(f'"{value}" is not a size, like 16MiB, 500kB or 1000000')
    return round(float(found["number"]) * _UNITS[found["unit"].lower()])


def moment(value: object) -> object:
    """Return an ISO date or time as it was written; other forms are refused, as servers read them differently."""
    if not isinstance(value, str):
        return value
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f'"{value}" is not an ISO date or time, like 2026-01-31 or 2026-01-31 12:00:00') from None
    return value


def window(value: object) -> object:
    """Return `22:00-06:00` as a Window."""
    if not isinstance(value, str):
        return value
    try:
        start, end = (time.fromisoformat(part.strip()) for part in value.split("-"))
    except ValueError:
        raise ValueError(f'"{value}" is not like 22:00-06:00') from None
    if start == end:
        raise ValueError(f'"{value}" is empty: it ends when it begins')
    return Window(start, end)


def zone(value: object) -> object:
    """Return `Europe/Berlin` as a ZoneInfo."""
    if not isinstance(value, str):
        return value
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(f'"{value}" is not a time zone, like Europe/Berlin or UTC') from None


def names(value: object) -> object:
    """Return `a, b` as a tuple of two texts."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def several(value: object) -> object:
    """Return a single text as a tuple of one."""
    return (value,) if isinstance(value, str) else value
