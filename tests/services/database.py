"""One test's own database, and the datasets that it can start from."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, NullPool, create_engine, make_url, text

from tests.services import mariadb, postgres, sqlite
from tests.services.server import Found, Server


class Family(Protocol):
    """What a service file of a database offers."""

    NAME: str
    FAMILY: str
    DRIVER: str
    park: Callable[[Server, str, str], bool] | None
    """Makes a database as new under another name, or gives False; None where a new one costs next to nothing."""
    rename: Callable[[Server, str, str], None] | None
    """Gives a parked one its name."""

    def find(self) -> Found: ...
    def address(self, at: Server, name: str) -> str: ...
    def create(self, at: Server, name: str, template: str | None = None) -> None: ...
    def drop(self, at: Server, name: str) -> None: ...
    def names(self, at: Server, prefix: str) -> list[str]: ...
    def script(self, url: str, text: str) -> None: ...


FAMILIES: dict[str, Family] = {postgres.NAME: postgres, mariadb.NAME: mariadb, sqlite.NAME: sqlite}
"""By name, which is the fixture's too."""


class Database:
    """A database that belongs to one test; `url` is what a user would type, password included."""

    def __init__(self, kind: Family, server: Server, name: str) -> None:
        self.backend = kind.FAMILY
        self.server = server
        self.name = name
        self.url = kind.address(server, name)
        self._kind = kind

    def __repr__(self) -> str:
        return f"Database({self.name!r} on {self.server})"

    @cached_property
    def engine(self) -> Engine:
        """Keeps no connection open between uses: a template must be free, a cut link must not come back."""
        # A reader of a SQLite file may have to wait for a busy disk; that it waits at all is no fault.
        options = {"sqlite": {"timeout": 60}, "mysql": mariadb.PLAIN}.get(self.backend, {})
        url = make_url(self.url).set(drivername=self._kind.DRIVER)
        return create_engine(url, poolclass=NullPool, connect_args=options)

    def execute(self, sql: str, /, **params: Any) -> int:
        """One statement, committed; the rows it touched. VACUUM and the like work too."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            count: int = _result(connection, sql, params).rowcount
            return count

    def rows(self, sql: str, /, **params: Any) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in _result(connection, sql, params)]

    def column(self, sql: str, /, **params: Any) -> list[Any]:
        """The first column of all rows."""
        return [row[0] for row in self.rows(sql, **params)]

    def scalar(self, sql: str, /, **params: Any) -> Any:
        """The first column of the first row; None where there is none."""
        return next(iter(self.column(sql, **params)), None)

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Many rows in one transaction; names are taken as they are written."""
        keys = [f"p{n}" for n, _ in enumerate(columns)]
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(':' + key for key in keys)})"
        with self.engine.begin() as connection:
            connection.execute(text(statement), [dict(zip(keys, row, strict=True)) for row in rows])

    def script(self, sql: str) -> None:
        """Statements as they are written, committed: tables, triggers, several at once."""
        self._kind.script(self.url, sql)

    def close(self) -> None:
        self.engine.dispose()


def _result(connection: Connection, sql: str, params: dict[str, Any]) -> Any:
    """Without parameters the text goes out as it is: its colons and percent signs mean nothing."""
    if params:
        return connection.execute(text(sql), params)
    return connection.execution_options(no_parameters=True).exec_driver_sql(sql)


@dataclass(frozen=True)
class Dataset:
    """What a database starts with: loaded once per session and server, then copied for each test."""

    name: str
    load: Callable[[Database], None]

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9_]{1,30}", self.name):
            raise ValueError(f"{self.name!r} cannot be part of a database's name")
