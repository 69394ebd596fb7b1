"""Which conditions SQLite finds by the key that a run follows, and not by another index."""

import pytest
import sqlalchemy as sa

from batchops.db.sqlite.catalog import find
from batchops.db.sqlite.planner import SQLitePlanner

TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, a INT, b INT, UNIQUE (a, b))"
ALONE = "CREATE TABLE t (a INT, code TEXT NOT NULL UNIQUE, b INT, PRIMARY KEY (a, b)) WITHOUT ROWID"


@pytest.mark.parametrize(
    ("made", "where", "key", "by_key"),
    [
        (TABLE, "id > 5", ["id"], True),
        (TABLE, "code > 'a'", ["id"], False),
        (TABLE, "code > 'a'", ["code"], True),
        (TABLE, "id > 5", ["code"], False),
        (TABLE, "a = 1 AND b > 5", ["a", "b"], True),
        (TABLE, "a = 1", ["id"], False),
        (ALONE, "a = 1", ["a", "b"], True),
        (ALONE, "code > 'a'", ["a", "b"], False),
        ("CREATE TABLE t (id TEXT PRIMARY KEY)", "id > 'a'", ["rowid"], False),
        ("CREATE TABLE t (id TEXT PRIMARY KEY)", "rowid > 5", ["rowid"], True),
        ("CREATE TABLE t (id TEXT)", "rowid > 5", ["rowid"], True),
    ],
)
def test_finds_by_key(made: str, where: str, key: list[str], by_key: bool) -> None:
    with sa.create_engine("sqlite://").connect() as connection:
        connection.exec_driver_sql(made)
        table = find(connection, None, "t")
        assert table is not None
        rows = sa.select(*(sa.column(name) for name in key)).select_from(table.clause).where(sa.text(where))
        assert SQLitePlanner().finds_by_key(connection, table, key, rows) is by_key
