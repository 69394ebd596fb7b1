"""Tables as applications have them: without keys, in circles, with values of several spellings, of several owners."""

import pytest

import batchops as library
from batchops.errors import RefusedError
from tests.bulk.children.test_graph import make
from tests.bulk.plan.situations import numbers
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.services.database import Database

pytestmark = pytest.mark.in_turn


@pytest.mark.parametrize("name", ["mariadb", "sqlite"])
def test_a_reference_that_is_spelled_otherwise(new_database: NewDatabase, name: str) -> None:
    """The database takes it for equal, so it keeps the row above it: in a plain purge, and in one with children."""
    database = new_database(name)
    kind = "varchar(20) COLLATE NOCASE" if name == "sqlite" else "varchar(20)"
    make(
        database,
        f"CREATE TABLE cat (name {kind} NOT NULL PRIMARY KEY, up {kind}, gone integer NOT NULL,"
        " FOREIGN KEY (up) REFERENCES cat (name) ON DELETE RESTRICT); CREATE INDEX cat_up ON cat (up)",
    )
    for i in range(40):
        up = None if i < 4 else f"ROW{i - 4}{' ' if name == 'mariadb' else ''}"
        database.execute("INSERT INTO cat VALUES (:name, :up, :gone)", name=f"row{i}", up=up, gone=int(i != 39))
    plain = library.purge(url=database.url, table="cat", where="gone = 1", batch_size=12)
    assert (plain.reason, plain.rows, plain.rejected) == ("incomplete", 30, 9), plain  # the line of 39 stays
    assert all("refer" in cause.reason for cause in plain.rejected_causes), plain.rejected_causes
    finished = library.purge(url=database.url, table="cat", where="gone = 1", with_children=True, batch_size=4)
    assert (finished.reason, database.scalar("SELECT count(*) FROM cat")) == ("done", 0), finished


def test_children_without_a_key(database: Database) -> None:
    """They go by what they refer to, no more at a time than a batch has; of several alike as many as there are."""
    make(
        database,
        "CREATE TABLE p (id integer NOT NULL PRIMARY KEY, code varchar(9) UNIQUE);"
        "CREATE TABLE tags (p_id integer, tag integer, FOREIGN KEY (p_id) REFERENCES p (id));"
        "CREATE TABLE seen (code varchar(9), FOREIGN KEY (code) REFERENCES p (code) ON DELETE SET NULL);"
        "CREATE INDEX tags_p ON tags (p_id); CREATE INDEX seen_p ON seen (code)",
    )
    database.execute(f"INSERT INTO p SELECT i, CASE WHEN i % 3 > 0 THEN {_text('i')} END FROM {numbers(database, 20)}")
    database.execute(f"INSERT INTO tags SELECT 1 + i % 20, 7 FROM {numbers(database, 400)}")
    database.execute(f"INSERT INTO seen SELECT code FROM p, {numbers(database, 5)}")
    finished = library.purge(url=database.url, table="p", where="id <= 10", with_children=True, batch_size=15)
    assert (finished.reason, finished.rows) == ("done", 10), finished
    assert finished.families is not None
    assert dict(finished.families.tables) == {"p": 10, "tags": 200, "seen set to NULL": 35}
    assert database.rows("SELECT count(*), min(p_id) FROM tags") == [(200, 11)]
    assert database.scalar("SELECT count(*) FROM seen WHERE code IS NULL") == 65


def _text(column: str) -> str:
    return f"cast({column} AS char(9))"


@pytest.mark.full
def test_partitions_without_a_key(postgresql: Database) -> None:
    postgresql.script("""
        CREATE TABLE p (id integer PRIMARY KEY);
        CREATE TABLE tags (p_id integer REFERENCES p, part integer NOT NULL) PARTITION BY LIST (part);
        CREATE TABLE tags_0 PARTITION OF tags FOR VALUES IN (0);
        CREATE TABLE tags_1 PARTITION OF tags FOR VALUES IN (1);
        CREATE INDEX ON tags (p_id);
        INSERT INTO p SELECT generate_series(1, 10);
        INSERT INTO tags SELECT 1 + i % 10, i / 10 % 2 FROM generate_series(1, 200) i
    """)
    finished = library.purge(url=postgresql.url, table="p", where="id <= 5", with_children=True, batch_size=7)
    assert (finished.reason, finished.rows) == ("done", 5), finished
    assert postgresql.rows("SELECT count(*), min(p_id) FROM tags") == [(100, 6)]


MIDDLE = """CREATE TABLE p (id integer NOT NULL PRIMARY KEY);
    CREATE TABLE middle (p_id integer, code varchar(9) UNIQUE, FOREIGN KEY (p_id) REFERENCES p (id));
    CREATE TABLE low (id integer NOT NULL PRIMARY KEY, code varchar(9), FOREIGN KEY (code) REFERENCES middle (code));
    CREATE INDEX middle_p ON middle (p_id); CREATE INDEX low_code ON low (code)"""


@pytest.mark.full
def test_rows_without_a_key_between_others(database: Database) -> None:
    """A hidden place names them while they are locked; MariaDB has none, so it says what is missing."""
    make(database, MIDDLE)
    database.execute(f"INSERT INTO p SELECT i FROM {numbers(database, 10)}")
    code = f"CASE WHEN i % 3 > 0 THEN {_text('i')} END"
    database.execute(f"INSERT INTO middle SELECT 1 + i % 10, {code} FROM {numbers(database, 60)}")
    database.execute(f"INSERT INTO low SELECT i, {code} FROM {numbers(database, 60)}")
    job = {"url": database.url, "table": "p", "where": "id <= 5", "with_children": True, "batch_size": 7}
    if database.backend == "mysql":
        with pytest.raises(RefusedError, match=r'"middle" has no primary key .* rows of low refer to it'):
            library.purge(**job)
        return
    finished = library.purge(**job)
    assert (finished.reason, finished.rows) == ("done", 5), finished
    assert database.rows("SELECT count(*), min(p_id) FROM middle") == [(30, 6)]
    assert database.scalar("SELECT count(*) FROM low WHERE code NOT IN (SELECT code FROM middle WHERE code > '')") == 0


def test_rows_of_several_owners(database: Database) -> None:
    """A column that refers to a table or another by its type; and a condition that reads what goes, evaluated once."""
    make(
        database,
        "CREATE TABLE projects (id integer NOT NULL PRIMARY KEY);"
        "CREATE TABLE issues (id integer NOT NULL PRIMARY KEY, project_id integer NOT NULL, state varchar(9) NOT NULL,"
        " FOREIGN KEY (project_id) REFERENCES projects (id));"
        "CREATE TABLE notes (id integer NOT NULL PRIMARY KEY, owner_type varchar(9) NOT NULL, owner_id integer);"
        "CREATE TABLE watchers (owner_type varchar(9) NOT NULL, owner_id integer);"
        "CREATE INDEX i1 ON issues (project_id); CREATE INDEX i2 ON notes (owner_id, owner_type);"
        "CREATE INDEX i3 ON watchers (owner_id, owner_type)",
    )
    database.execute(f"INSERT INTO projects SELECT i FROM {numbers(database, 8)}")
    database.execute(f"INSERT INTO issues SELECT i, 1 + i % 8, CASE WHEN i % 8 < 3 THEN 'dead' ELSE 'open' END"
                     f" FROM {numbers(database, 80)}")  # fmt: skip
    owner = "CASE i % 3 WHEN 0 THEN 'Project' WHEN 1 THEN 'Issue' ELSE 'Other' END, i % 90"
    database.execute(f"INSERT INTO notes SELECT i, {owner} FROM {numbers(database, 300)}")
    database.execute(f"INSERT INTO watchers SELECT {owner} FROM {numbers(database, 300)}")
    child = [
        f"{table}.owner_id -> {parent}.id where owner_type = '{kind}'"
        for table in ("notes", "watchers")
        for parent, kind in (("projects", "Project"), ("issues", "Issue"))
    ]
    finished = library.purge(
        url=database.url, table="projects", where="id IN (SELECT project_id FROM issues WHERE state = 'dead')",
        with_children=True, child=child, edge=["notes.owner_id = delete", "watchers.owner_id = delete"], batch_size=9,
    )  # fmt: skip
    assert (finished.reason, finished.rows) == ("done", 3), finished
    assert database.column("SELECT id FROM projects ORDER BY id") == [4, 5, 6, 7, 8]
    assert database.scalar("SELECT count(*) FROM issues") == 50
    lost = [i for i in range(1, 81) if i % 8 < 3]
    wanted = _owned(300, lost)
    for table in ("notes", "watchers"):
        assert database.scalar(f"SELECT count(*) FROM {table}") == wanted


def _owned(rows: int, lost: list[int]) -> int:
    """How many stay: of each third the owner is a project, an issue, or neither."""
    owners = [(i % 3, i % 90) for i in range(1, rows + 1)]
    gone = [(kind == 0 and owner in (1, 2, 3)) or (kind == 1 and owner in lost) for kind, owner in owners]
    return rows - sum(gone)


@pytest.mark.full
def test_a_circle_of_rows_larger_than_a_batch(database: Database) -> None:
    """The reference of the row itself is set to NULL, in a commit of its own: the rest is a line."""
    make(database, "CREATE TABLE c (id integer NOT NULL PRIMARY KEY, up integer, FOREIGN KEY (up) REFERENCES c (id));"
                   "CREATE INDEX c_up ON c (up)")  # fmt: skip
    database.execute(f"INSERT INTO c SELECT i, NULL FROM {numbers(database, 120)}")
    database.execute("UPDATE c SET up = CASE WHEN id % 60 = 0 THEN id - 59 ELSE id + 1 END")
    finished = library.purge(url=database.url, table="c", where="id = 7", with_children=True, batch_size=20)
    assert (finished.reason, finished.rows) == ("done", 60), finished
    assert database.rows("SELECT count(*), min(id) FROM c") == [(60, 61)]


def test_two_references_to_a_table_itself(database: Database) -> None:
    """A line whose rows all refer to its first one too: a row is found both near the top and far below."""
    make(
        database,
        "CREATE TABLE c (id integer NOT NULL PRIMARY KEY, up integer, top integer, FOREIGN KEY (up) REFERENCES c (id),"
        " FOREIGN KEY (top) REFERENCES c (id)); CREATE INDEX c_up ON c (up); CREATE INDEX c_top ON c (top)",
    )
    up = "CASE WHEN i % 90 <> 1 THEN i - 1 END, CASE WHEN i % 90 <> 1 THEN i - (i - 1) % 90 END"
    database.execute(f"INSERT INTO c SELECT i, {up} FROM {numbers(database, 180)} ORDER BY i")
    finished = library.purge(url=database.url, table="c", where="id = 1", with_children=True, batch_size=20)
    assert (finished.reason, finished.rows) == ("done", 90), finished
    assert database.rows("SELECT count(*), min(id) FROM c") == [(90, 91)]


@pytest.mark.full
@pytest.mark.parametrize("name", ["postgresql", "sqlite"])
def test_many_rows_around_a_circle_that_is_deferred(new_database: NewDatabase, name: str) -> None:
    """Only those of the circle have to go in one transaction; the others go before."""
    database, late = new_database(name), "DEFERRABLE INITIALLY DEFERRED"
    behind = f", FOREIGN KEY (boss) REFERENCES e (id) {late})"
    behind = behind if name == "sqlite" else ")"
    database.script(f"CREATE TABLE d (id integer PRIMARY KEY, boss integer NOT NULL{behind};"
                    f"CREATE TABLE e (id integer PRIMARY KEY, dept integer NOT NULL REFERENCES d (id) {late});"
                    "CREATE INDEX d_boss ON d (boss); CREATE INDEX e_dept ON e (dept)")  # fmt: skip
    if name == "postgresql":
        database.script(f"ALTER TABLE d ADD FOREIGN KEY (boss) REFERENCES e (id) {late}")
    with database.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO d VALUES (1, 1), (2, 2)")
        connection.exec_driver_sql(
            f"INSERT INTO e SELECT i, CASE i WHEN 2 THEN 2 ELSE 1 END FROM {numbers(database, 200)}"
        )
    finished = library.purge(url=database.url, table="d", where="id = 1", with_children=True, batch_size=30)
    assert (finished.reason, finished.rows) == ("done", 1), finished
    assert (database.column("SELECT id FROM e"), database.column("SELECT id FROM d")) == ([2], [2])


def test_the_ledger_tells_the_rows_by_table(batchops: Batchops, sqlite: Database) -> None:
    make(sqlite, MIDDLE)
    sqlite.execute("INSERT INTO p VALUES (1), (2)")
    sqlite.execute(f"INSERT INTO middle SELECT 1, i FROM {numbers(sqlite, 30)}")
    url = ("--url", sqlite.url)
    assert batchops("purge", "p", "--where", "id = 1", "--with-children", "-y", *url).code == 0
    assert batchops("show", "p", "--json", *url).json()["tables"] == {"middle": 30, "p": 1}
    assert "tables    middle 30, p 1" in batchops("show", "p", *url).out
    (run,) = batchops("runs", "--json", *url).json()["runs"]
    assert (run["rows"], run["tables"]) == (1, {"middle": 30, "p": 1})
    assert " 1 (31 in all) " in batchops("runs", *url).out
