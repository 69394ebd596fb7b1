"""The clean-up and a backfill on tables of well-known applications: the same rows as by one plain statement."""

from typing import Any

import pytest

import batchops as library
from tests.conftest import NewDatabase
from tests.databases.applications import APPLICATIONS, ROWS, Application
from tests.services.database import Database

CASES = [(name, family) for name, application in APPLICATIONS.items() for family in application.families]


def tables(database: Database, application: Application) -> dict[str, list[str]]:
    """All that the application's tables hold, as text."""
    names = [
        ddl.split()[2] for ddl in application.tables if ddl.startswith("CREATE TABLE") and "PARTITION OF" not in ddl
    ]
    return {name: sorted(map(repr, database.rows(f"SELECT * FROM {name}"))) for name in names}


@pytest.mark.wide(3)
@pytest.mark.in_turn
@pytest.mark.parametrize(("name", "family"), CASES)
def test_the_same_rows_as_one_statement(new_database: NewDatabase, name: str, family: str) -> None:
    application = APPLICATIONS[name]
    plain, batched = new_database(family), new_database(family)
    for database in (plain, batched):
        application.make(database)
    purge, value, which = (
        application.said(plain, text) for text in (application.purge, application.backfill, application.which)
    )
    if family == "sqlite":
        plain.script(f"PRAGMA foreign_keys = on; DELETE FROM {application.table} WHERE {purge}")
    else:
        plain.script(f"DELETE FROM {application.table} WHERE {purge}")
    plain.script(f"UPDATE {application.table} SET {value} WHERE {which}")

    job: dict[str, Any] = {"url": batched.url, "table": application.table, "batch_size": 70, **application.options}
    deleted = library.purge(**job, where=purge)
    assert deleted.reason == "done", deleted
    assert 0 < deleted.rows < ROWS
    changed = library.backfill(**job, set=[value], where=which)
    assert changed.reason == "done", changed
    assert changed.rows > 0
    assert tables(batched, application) == tables(plain, application)
