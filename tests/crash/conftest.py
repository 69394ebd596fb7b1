"""Databases behind a connection that can break; the long tier takes both kinds."""

import pytest

from tests.conftest import NewDatabase
from tests.crash.scenario import make
from tests.services.database import Database


@pytest.fixture(params=["postgresql", pytest.param("mariadb", marks=pytest.mark.full)])
def served(request: pytest.FixtureRequest, new_database: NewDatabase) -> Database:
    """A server's database with its table."""
    database = new_database(request.param)
    make(database)
    return database


@pytest.fixture(params=["postgresql", "mariadb"])
def everywhere(request: pytest.FixtureRequest, new_database: NewDatabase) -> Database:
    """The same, on both kinds in the quick tier too."""
    database = new_database(request.param)
    make(database)
    return database


@pytest.fixture(params=["postgresql", *(pytest.param(name, marks=pytest.mark.full) for name in ("mariadb", "sqlite"))])
def somewhere(request: pytest.FixtureRequest, new_database: NewDatabase) -> Database:
    """Of any kind."""
    database = new_database(request.param)
    make(database)
    return database
