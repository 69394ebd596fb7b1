"""Loads values that Python has no type for as the server's own text: infinity, BC, years after 9999, 24:00, months."""

import re
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

from batchops.db.postgresql import addresses

_MOMENTS = ("date", "time", "timetz", "timestamp", "timestamptz")
_SPAN = re.compile(r"(?:([-+]?\d+) days?)? ?(?:([-+]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?")


def register(connection: "psycopg.Connection[Any]") -> None:
    """Let this connection load every date, time and interval without an error, and take lists of places."""
    for name, loader in _OR_TEXT.items():
        connection.adapters.register_loader(name, loader)
    connection.adapters.register_loader("interval", Interval)
    addresses.register(connection)


class Interval(Loader):
    """Loads an interval as a timedelta; one with months stays text, as a month has no fixed length."""

    def load(self, data: Buffer) -> timedelta | str:
        """Return the value as the driver should give it."""
        text = bytes(data).decode()
        found = _SPAN.fullmatch(text)
        if not text or found is None:
            return text
        days, sign, hours, minutes, seconds, fraction = found.groups()
        part = timedelta(
            hours=int(hours or 0), minutes=int(minutes or 0), seconds=int(seconds or 0),
            microseconds=int((fraction or "").ljust(6, "0")),
        )  # fmt: skip
        try:
            return timedelta(days=int(days or 0)) + (-part if sign == "-" else part)
        except OverflowError:
            return text


def _or_text(name: str) -> type[Loader]:
    """Return a loader for the type: the driver's own, but with the server's text for values that it refuses."""
    usual = psycopg.adapters.get_loader(psycopg.adapters.types[name].oid, Format.TEXT)
    assert usual is not None
    loader = usual

    class OrText(Loader):
        """The driver's loader for one type; it returns the server's text for values that Python cannot hold."""

        def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
            super().__init__(oid, context)
            self._load = loader(oid, context).load

        def load(self, data: Buffer) -> Any:
            """Return the value as the driver should give it."""
            try:
                return self._load(data)
            except (psycopg.DataError, ValueError, OverflowError):
                return bytes(data).decode()

    return OrText


_OR_TEXT = {name: _or_text(name) for name in _MOMENTS}
