"""The list of all databases.

Other packages add databases by an entry point in the group `batchops.backends`, which names a `Registration`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from batchops.errors import UsageError

GROUP = "batchops.backends"


@dataclass(frozen=True)
class Registration:
    """How a database is recognised, and where its backend is; `module:name` is imported when it is needed."""

    name: str
    backend: str
    """`module:class` of its Backend."""
    dialect: str
    """The name sqlglot knows its SQL by."""
    schemes: tuple[str, ...] = ()
    """The schemes of its URLs; without one, it is recognised by its version alone."""
    example: str = ""
    """How its URLs begin, for hints."""
    reader: str = ""
    """`module:function` that makes a `DriverUrl` from the parts of a URL and the environment."""
    driver: str = ""
    """The Python package that connects to it."""
    install: str = ""
    """What pip installs for the driver."""
    drivers: frozenset[str] = frozenset()
    """Names that a URL may have after a "+" in its scheme; batchops uses `driver` whichever is named."""
    user_driver: str = ""
    """`module:class` of the `UserDriver` for a user's own connections of `driver`."""
    variant_of: str = ""
    """The database whose URLs it shares: a server reached by them is this one if `version` matches."""
    version: str = ""
    """A regular expression that matches the version which such a server reports."""


_OWN = (
    Registration(
        "PostgreSQL",
        backend="batchops.db.postgresql.backend:PostgreSQL",
        dialect="postgres",
        schemes=("postgresql", "postgres"),
        example="postgresql://",
        reader="batchops.db.postgresql.urls:read",
        driver="psycopg",
        install="psycopg[binary]",
        drivers=frozenset({"psycopg", "psycopg_async", "psycopg2", "psycopg2cffi", "asyncpg", "pg8000"}),
        user_driver="batchops.db.postgresql.event_tables:Psycopg",
    ),
    Registration(
        "MySQL",
        backend="batchops.db.mysql.backend:MySQL",
        dialect="mysql",
        schemes=("mysql", "mariadb"),
        example="mysql://",
        reader="batchops.db.mysql.urls:read",
        driver="pymysql",
        install="pymysql",
        drivers=frozenset(
            {"pymysql", "mysqldb", "mysqlconnector", "mariadbconnector", "aiomysql", "asyncmy", "cymysql"}
        ),
        user_driver="batchops.db.mysql.event_tables:PyMySQL",
    ),
    Registration(
        "MariaDB",
        backend="batchops.db.mysql.mariadb:MariaDB",
        dialect="mysql",
        example="mariadb://",
        variant_of="MySQL",
        version="mariadb",
    ),
    Registration(
        "SQLite",
        backend="batchops.db.sqlite.backend:SQLite",
        dialect="sqlite",
        schemes=("sqlite", "sqlite3"),
        example="sqlite:///",
        reader="batchops.db.sqlite.urls:read",
        driver="sqlite3",
        drivers=frozenset({"pysqlite", "aiosqlite"}),
        user_driver="batchops.db.sqlite.event_tables:SQLite3",
    ),
)


def registrations() -> tuple[Registration, ...]:
    """Return all registrations, batchops' own first."""
    return _OWN + _others()


def registered(name: str) -> Registration:
    """Return the registration of that name."""
    return next(one for one in registrations() if one.name == name)


def by_scheme(scheme: str) -> Registration | None:
    """Return the database that URLs with that scheme are for; None for an unknown scheme."""
    known = next((one for one in _OWN if scheme in one.schemes), None)
    return known or next((one for one in _others() if scheme in one.schemes), None)


def by_driver(package: str) -> Registration | None:
    """Return the database that connections of that Python package are for; None for an unknown package."""
    return next((one for one in _OWN if one.driver == package), None) or next(
        (one for one in _others() if one.driver == package and one.user_driver), None
    )


def variants(of: Registration) -> Iterator[Registration]:
    """Yield the databases that a server reached as `of` may turn out to be."""
    return (one for one in registrations() if one.variant_of == of.name and one.version)


def named_by(variant: Registration, version: str) -> bool:
    """Whether a server that reports this version is the variant."""
    return re.search(variant.version, version, re.IGNORECASE) is not None


def drivers() -> tuple[str, ...]:
    """Return the Python packages whose connections a user may pass in."""
    return tuple(one.driver for one in registrations() if one.user_driver)


def examples() -> tuple[str, ...]:
    """Return how the URLs of each database begin."""
    return tuple(one.example for one in registrations() if one.example)


def load(place: str) -> Any:
    """Import and return the object at `module:name`."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


@cache
def _others() -> tuple[Registration, ...]:
    return tuple(map(_loaded, entry_points(group=GROUP)))


def _loaded(entry: Any) -> Registration:
    try:
        found = entry.load()
    except Exception as error:
        raise UsageError(
            f'The backend "{entry.name}" of the package "{entry.dist.name}" cannot be loaded: {error}.',
            "update the package, or remove it.",
        ) from error
    if not isinstance(found, Registration):
        raise UsageError(
            f'The backend "{entry.name}" of the package "{entry.dist.name}" is not a Registration.',
            f"its entry point in {GROUP} names a batchops.db.registry.Registration.",
        )
    return found
