"""Handlers that fail for reasons that are hard to write down, or that mean to end the process."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

Rows = Sequence[dict[str, Any]]
ODD = 3


class MuteError(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def nul(rows: Rows) -> list[Any]:
    """A reason that PostgreSQL cannot hold."""
    return _told(rows, "HTTP 500: <html>\0</html>")


def surrogate(rows: Rows) -> list[Any]:
    """A reason that is no Unicode."""
    return _told(rows, b"name \xff".decode(errors="surrogateescape"))


def wide(rows: Rows) -> list[Any]:
    """A reason that latin1 and utf8mb3 cannot hold."""
    return _told(rows, "→ 😀")


def long(rows: Rows) -> list[Any]:
    """A reason longer than most columns."""
    return _told(rows, "x" * 70_000)


def mute(rows: Rows) -> list[Any]:
    """An exception as a result."""
    return _told(rows, MuteError())


def _told(rows: Rows, reason: object) -> list[Any]:
    with Path(os.environ["HANDLED"]).open("a") as file:
        file.writelines(f"{row['id']}\n" for row in rows)
    return [reason if row["id"] == ODD else None for row in rows]


def _raises(error: Callable[[], BaseException]) -> Callable[[Rows], None]:
    def handler(rows: Rows) -> None:
        if any(row["id"] == ODD for row in rows):
            raise error()

    return handler


def exits(rows: Rows) -> None:
    """As a script does that was made a handler."""
    if any(row["id"] == ODD for row in rows):
        sys.exit(7)


def exits_inside(rows: Rows, connection: sa.Connection) -> None:
    """The same in the transaction that marks the rows."""
    connection.execute(sa.text("INSERT INTO effects (job) VALUES (:id)"), [{"id": row["id"]} for row in rows])
    exits(rows)


interrupts = _raises(KeyboardInterrupt)
generates = _raises(GeneratorExit)
memory = _raises(MemoryError)
recursion = _raises(RecursionError)
raises_mute = _raises(MuteError)
raises_nul = _raises(lambda: ValueError("a\0b\udcff"))
