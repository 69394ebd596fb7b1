"""Refusals and errors before the first write: what happened, to what, and what to do; each with its own exit code."""

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import batchops as library
from batchops.errors import BatchopsError, MissingCodeError, NotFoundError, RefusedError, UsageError
from tests.bulk.plan.situations import ALL, parent
from tests.conftest import NewDatabase

pytestmark = pytest.mark.in_turn


@pytest.mark.parametrize("family", ALL)
def test_a_table_that_is_not_there(new_database: NewDatabase, family: str) -> None:
    database = new_database(family)
    parent(database)
    with pytest.raises(NotFoundError) as caught:
        library.purge(url=database.url, table="tt", all_rows=True)
    assert (caught.value.reason, caught.value.exit) == ("not-found", 10)
    assert 'did you mean "t"?' in caught.value.hint


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize(
    "where", ["a.id = 1", "EXISTS (SELECT 1 FROM t x WHERE x.id = a.id)", "id IN (SELECT id FROM no)"]
)
def test_a_condition_with_another_table_is_a_slip(new_database: NewDatabase, family: str, where: str) -> None:
    """An alias that a copied statement had, or a table that is not there: the condition is wrong, not the database."""
    database = new_database(family)
    parent(database)
    with pytest.raises(UsageError) as caught:
        library.purge(url=database.url, table="t", where=where)
    assert caught.value.exit == 2


MISUSED = {
    "mariadb": ["(VALUES(n)) > 1", "MATCH (n) AGAINST ('x')", "id > VALUES(n)"],
    "sqlite": [
        "n MATCH 'x'",
        "id IN (SELECT id FROM t a, t b)",
        "n LIKE 'x' ESCAPE 'xx'",
        "json_extract('[]', 'x') > 1",
    ],
    "postgresql": ["n @@ 'x'", "id IN (SELECT id FROM t a, t b)", "n LIKE 'x'"],
}
"""What means something else where it stands in another statement, or on another kind of table."""


@pytest.mark.wide(2)
@pytest.mark.parametrize(("family", "where"), [(family, one) for family, some in MISUSED.items() for one in some])
def test_what_the_server_cannot_do_there_is_a_slip(new_database: NewDatabase, family: str, where: str) -> None:
    database = new_database(family)
    parent(database)
    with pytest.raises(UsageError) as caught:
        library.purge(url=database.url, table="t", where=where)
    assert caught.value.hint


@pytest.mark.wide(2)
@pytest.mark.parametrize("batch_size", [2, None])
@pytest.mark.parametrize("where", ["notes MATCH 'old'", "body MATCH 'old' AND notes MATCH 'mail'", "notes = 'old'"])
def test_a_full_text_search_of_the_table_itself(new_database: NewDatabase, where: str, batch_size: int | None) -> None:
    """SQLite's FTS5: what MATCH finds, it finds in every batch."""
    database = new_database("sqlite")
    database.script(
        "CREATE VIRTUAL TABLE notes USING fts5(body);"
        "INSERT INTO notes (body) VALUES ('old mail'), ('new mail'), ('old mail'), ('mail, old'), ('new'), ('old mail')"
    )
    done = library.purge(url=database.url, table="notes", where=where, batch_size=batch_size)
    assert (done.reason, done.rows) == ("done", 4)
    assert database.column("SELECT body FROM notes ORDER BY rowid") == ["new mail", "new"]


def test_a_search_where_none_can_be_is_a_slip(new_database: NewDatabase) -> None:
    database = new_database("sqlite")
    database.script("CREATE VIRTUAL TABLE notes USING fts5(body); INSERT INTO notes (body) VALUES ('old')")
    for where in ("NOT notes MATCH 'old'", "notes MATCH '\"'"):
        with pytest.raises(UsageError):
            library.purge(url=database.url, table="notes", where=where)


def test_values_in_an_update(new_database: NewDatabase) -> None:
    """Of INSERT … ON DUPLICATE KEY UPDATE."""
    database = new_database("mariadb")
    parent(database)
    with pytest.raises(UsageError) as caught:
        library.backfill(url=database.url, table="t", all_rows=True, set=["n = VALUES(n)"])
    assert caught.value.hint


AGES = {"older_than": "90d", "before": "2026-01-01"}


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize("age", AGES)
def test_times_that_are_kept_as_text(new_database: NewDatabase, family: str, age: str) -> None:
    """SQLite has no other; elsewhere the hint says how, and it works as it is printed."""
    database = new_database(family)
    database.script("CREATE TABLE t (id integer NOT NULL PRIMARY KEY, at varchar(30) NOT NULL)")
    database.execute("INSERT INTO t VALUES (1, '2020-01-31T10:00:00Z'), (2, '2099-01-31T10:00:00Z')")
    cut: dict[str, Any] = {"by": "at", age: AGES[age]}
    if family != "sqlite":
        with pytest.raises(UsageError) as caught:
            library.purge(url=database.url, table="t", **cut)
        said = re.search(r'--where "(.*)" compares', caught.value.hint)
        assert said, caught.value.hint
        cut = {"where": said[1]}
    if family != "sqlite":
        assert library.backfill(url=database.url, table="t", set=["at = at"], **cut).rows == 1
    assert library.purge(url=database.url, table="t", **cut).rows == 1
    assert database.column("SELECT id FROM t") == [2]


def test_a_materialized_view(new_database: NewDatabase) -> None:
    database = new_database("postgresql")
    database.script("CREATE MATERIALIZED VIEW mv AS SELECT 1 AS id")
    with pytest.raises(RefusedError, match="materialized view") as caught:
        library.purge(url=database.url, table="mv", all_rows=True)
    assert "REFRESH" in caught.value.hint


def test_a_published_table_without_an_identity(new_database: NewDatabase) -> None:
    database = new_database("postgresql")
    database.script("CREATE TABLE t (id integer)")
    database.script("SET client_min_messages = error; CREATE PUBLICATION p FOR TABLE t")
    with pytest.raises(RefusedError, match="replica identity") as caught:
        library.purge(url=database.url, table="t", all_rows=True, allow=("no-key",))
    assert "ALTER TABLE t REPLICA IDENTITY" in caught.value.hint


@pytest.mark.wide(2)
@pytest.mark.parametrize(
    ("by", "found"), [('"createdAt"', True), ("createdAt", True), ("createdat", True), ('"no"', False)]
)
def test_a_column_may_be_given_with_quotes(new_database: NewDatabase, by: str, found: bool) -> None:
    database = new_database("postgresql")
    database.script('CREATE TABLE t (id integer PRIMARY KEY, "createdAt" timestamptz)')
    try:
        assert library.purge(url=database.url, table='"t"', older_than="1d", by=by).reason == "done"
    except BatchopsError as error:
        assert not found, error
        assert 'no column "no"' in error.message


def test_what_only_the_application_defines(tmp_path: Path) -> None:
    """calibre's and Plex's files: a trigger's function, an index's collation; a slip of the user's is told apart."""
    path = tmp_path / "books.db"
    with sqlite3.connect(path) as connection:
        connection.create_collation("icu_root", lambda a, b: (a > b) - (a < b))
        connection.create_function("title_sort", 1, str)
        connection.executescript(
            "CREATE TABLE books (id integer PRIMARY KEY, title text, sort text, seen int);"
            "CREATE TABLE items (id integer PRIMARY KEY, title text);"
            "CREATE TRIGGER t AFTER UPDATE ON books BEGIN UPDATE books SET sort = title_sort(NEW.title)"
            " WHERE id = NEW.id AND OLD.title <> NEW.title; END;"
            "INSERT INTO books VALUES (1, 'a', '', 0); INSERT INTO items VALUES (1, 'a');"
            "CREATE INDEX i ON items (title COLLATE icu_root);"
        )
    connection.close()
    url = f"sqlite:///{path}"
    with pytest.raises(MissingCodeError, match="title_sort") as trigger:
        library.backfill(url=url, table="books", all_rows=True, set=["seen = 1"], allow=("triggers",))
    assert "a trigger or an index calls it" in trigger.value.hint
    with pytest.raises(MissingCodeError, match="icu_root"):
        library.purge(url=url, table="items", where="id = 1")
    with pytest.raises(UsageError, match="no_such"):
        library.backfill(url=url, table="books", all_rows=True, set=["seen = no_such(1)"], allow=("triggers",))


@pytest.mark.wide(2)
@pytest.mark.parametrize(
    "where", ["made < now() - interval '60 days'", "made < current_date - 60", "(made < date_trunc('month', now()))"]
)
def test_a_moment_is_worked_out_to_prove_a_partition_covered(new_database: NewDatabase, where: str) -> None:
    database = new_database("postgresql")
    database.script(
        "CREATE TABLE ev (id bigint, made timestamptz NOT NULL, PRIMARY KEY (id, made)) PARTITION BY RANGE (made);"
        "CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');"
        "CREATE TABLE ev_d PARTITION OF ev DEFAULT;"
        "INSERT INTO ev SELECT i, timestamptz '2020-01-01' + i * interval '30 hours' FROM generate_series(1, 400) i;"
    )
    assert library.purge(url=database.url, table="ev", where=where, drop_partitions=True).reason == "done"
    assert database.scalar("SELECT count(*) FROM ev") == 0
    assert database.scalar("SELECT count(*) FROM pg_class WHERE relname = 'ev_1'") == 0


@pytest.mark.parametrize("family", ["mariadb", "sqlite"])
def test_other_partitions_are_not_dropped(new_database: NewDatabase, family: str) -> None:
    database = new_database(family)
    parent(database)
    with pytest.raises(RefusedError, match="only PostgreSQL's partitions"):
        library.purge(url=database.url, table="t", where="id < 5", drop_partitions=True)
