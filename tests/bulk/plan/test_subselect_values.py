"""A sub-select that is evaluated once, at the start, means what it means in one plain statement."""

import pytest

import batchops as library
from batchops.bulk.plan.analysis import FEW
from batchops.errors import UsageError
from tests.bulk.plan.situations import numbers
from tests.conftest import NewDatabase
from tests.services.database import Database

ROWS = 300
TABLES = {
    "postgresql": "id integer NOT NULL PRIMARY KEY, c char(6), b bit(4), many char(3)[]",
    "mariadb": "id integer NOT NULL PRIMARY KEY, f float, d decimal(40,20), n varchar(9) COLLATE utf8mb4_general_ci",
    "sqlite": "id integer NOT NULL PRIMARY KEY, parent integer, u, t text",
}
VALUES = {
    "postgresql": "i, 'ab' || (i % 9), CAST(i % 16 AS bit(4)), CAST(ARRAY['ab' || (i % 9)] AS char(3)[])",
    "mariadb": "i, i % 50 / 10, 3, concat('n', i % 50)",
    "sqlite": "i, i % 60, i % 60, i % 60",
}
CONDITIONS = [
    ("postgresql", "c = (SELECT c FROM p WHERE id = 3)"),
    ("postgresql", "octet_length((SELECT c FROM p WHERE id = 3)) = 6"),
    ("postgresql", "b = (SELECT b FROM p WHERE id = 3)"),
    ("postgresql", "many = (SELECT many FROM p WHERE id = 3)"),
    ("mariadb", "f = (SELECT f FROM p WHERE id = 3)"),
    ("mariadb", "id > (SELECT avg(id % 3) FROM p WHERE id < 3) * 100 / 1.5"),
    ("mariadb", "d * 1000000 > 3000000 * (SELECT 1 / 3) AND id < 200"),
    ("mariadb", "n = (SELECT concat('N', id) COLLATE utf8mb4_bin FROM p WHERE id = 7) AND id > 1"),
    ("sqlite", 'EXISTS (SELECT 1 FROM p WHERE p.id = "parent")'),
    ("sqlite", '1 < (SELECT max(u) FROM p WHERE p.id = "parent")'),
    ("sqlite", "t = (SELECT u FROM p WHERE id = 8)"),
    ("sqlite", "t = (SELECT parent FROM p WHERE id = 8)"),
    ("sqlite", "(parent, 8) = (SELECT id, 8 FROM p WHERE id = 8)"),
]
FROM_PARENTHESES = "id IN (SELECT y.a FROM ((SELECT max(id) AS a FROM p) y JOIN p z ON z.id = y.a))"


def tables(new_database: NewDatabase, family: str) -> Database:
    """A table and a smaller one like it."""
    database = new_database(family)
    for name, rows in (("t", ROWS), ("p", 40)):
        database.script(f"CREATE TABLE {name} ({TABLES[family]})")
        database.execute(f"INSERT INTO {name} SELECT {VALUES[family]} FROM {numbers(database, rows)}")
    return database


@pytest.mark.wide(2)
@pytest.mark.in_turn
@pytest.mark.parametrize(
    ("family", "condition"), [*CONDITIONS, *((family, FROM_PARENTHESES) for family in TABLES)]
)  # fmt: skip
def test_a_value_keeps_its_type_and_its_digits(new_database: NewDatabase, family: str, condition: str) -> None:
    """Blanks of char(n), floats, quotients, affinities, collations, and names that only look like values."""
    database = tables(new_database, family)
    staying = database.scalar(f"SELECT count(*) FROM t WHERE ({condition}) IS NOT TRUE")
    done = library.purge(url=database.url, table="t", where=condition, batch_size=20, allow=["scan"])
    assert (done.reason, done.rows) == ("done", ROWS - staying)
    assert database.scalar("SELECT count(*) FROM t") == staying


def test_a_value_that_one_statement_draws_for_each_row_is_not_drawn_once(new_database: NewDatabase) -> None:
    """MariaDB evaluates a sub-select with UUID() again for every row."""
    database = tables(new_database, "mariadb")
    database.execute("ALTER TABLE t MODIFY n varchar(40)")
    library.backfill(url=database.url, table="t", all_rows=True, set=["n = (SELECT uuid())"])
    assert database.scalar("SELECT count(DISTINCT n) FROM t") == ROWS


@pytest.mark.parametrize("family", ["postgresql", pytest.param("mariadb", marks=pytest.mark.full)])
def test_several_rows_for_one_value_are_a_slip_of_the_user(new_database: NewDatabase, family: str) -> None:
    """Found before the run; in a large table by the first batch, where it reads the row around it.

    SQLite takes the first row.
    """
    database = tables(new_database, family)
    around = "id = (SELECT p.id FROM p WHERE p.id >= t.id)"
    for condition in ("id = (SELECT id FROM p)", around):
        with pytest.raises(UsageError, match="several rows") as refused:
            library.purge(url=database.url, table="t", where=condition)
        assert "IN (SELECT" in refused.value.hint
    rows = ROWS + FEW
    database.execute(f"INSERT INTO t (id) SELECT i + {ROWS} FROM {numbers(database, FEW)}")
    database.execute("ANALYZE TABLE t" if family == "mariadb" else "ANALYZE t")
    finished = library.purge(url=database.url, table="t", where=around)
    assert (finished.reason, finished.exit) == ("usage", 2)
    assert database.scalar("SELECT count(*) FROM t") == rows


@pytest.mark.in_turn
@pytest.mark.parametrize(("family", "drawn"), [("postgresql", "gen_random_uuid()"), ("sqlite", "hex(randomblob(8))")])
def test_a_value_that_one_statement_draws_once_is_the_same_in_every_batch(
    new_database: NewDatabase, family: str, drawn: str
) -> None:
    database = tables(new_database, family)
    database.execute("ALTER TABLE t ADD COLUMN token varchar(40)")
    value = f"token = CAST((SELECT {drawn}) AS varchar(40))"
    library.backfill(url=database.url, table="t", all_rows=True, set=[value], batch_size=20)
    assert database.scalar("SELECT count(DISTINCT token) FROM t") == 1


IN_JSON = {
    "mariadb": (
        "(SELECT json_arrayagg(n) FROM p WHERE id < 3)",
        "(SELECT json_object('a:b', n) FROM p WHERE id = 3)",
        "(SELECT json_extract('[\"x\"]', '$[0]'))",
        "(SELECT max(id) = 5 FROM p)",
        "(SELECT min(id) FROM p)",
        "(SELECT concat('[', n, ']') FROM p WHERE id = 3)",
    ),
    "sqlite": (
        "(SELECT json_group_array(t) FROM p WHERE id < 3)",
        "(SELECT json_object('a:b', t) FROM p WHERE id = 3)",
        "(SELECT json('\"x\"'))",
        "(SELECT '\"x\"')",
        "EXISTS (SELECT 1 FROM p WHERE id = 3)",
        "(SELECT '[' || t || ']' FROM p WHERE id = 3)",
    ),
}
"""Values that a JSON function takes for JSON, or for true and false, and some that only look like it."""


@pytest.mark.in_turn
@pytest.mark.parametrize("family", IN_JSON)
def test_a_value_stays_json_inside_json(new_database: NewDatabase, family: str) -> None:
    database = tables(new_database, family)
    for column in ("plain", "batched"):
        database.execute(f"ALTER TABLE t ADD COLUMN {column} varchar(500)")
    made = f"json_set('{{}}', '$.first', {IN_JSON[family][0]}, '$.all', json_array({', '.join(IN_JSON[family])}))"
    database.execute(f"UPDATE t SET plain = {made}")
    library.backfill(url=database.url, table="t", all_rows=True, set=[f"batched = {made}"])
    assert database.rows("SELECT DISTINCT batched FROM t") == database.rows("SELECT DISTINCT plain FROM t")


HIDDEN = {
    "a view that calls the column otherwise": "(SELECT v.s FROM v WHERE v.id = 301 - t.id)",
    "the same beside the table": "(SELECT v.s + count(q.id) FROM v JOIN t AS q ON q.id = v.id WHERE v.id = 301 - t.id)",
    "a whole row": "(SELECT CAST(to_jsonb(q) ->> 'score' AS integer) FROM t q WHERE q.id = 301 - t.id)",
    "an alias for its columns": "(SELECT b FROM t q (a, b) WHERE q.a = 301 - t.id)",
    "a function": "(SELECT score_of(301 - q.id) FROM t q WHERE q.id = t.id)",
}


@pytest.mark.wide(2)
@pytest.mark.parametrize("how", HIDDEN)
def test_a_column_that_is_set_is_found_by_whatever_name_it_is_read(new_database: NewDatabase, how: str) -> None:
    database = new_database("postgresql")
    database.script("CREATE TABLE t (id integer NOT NULL PRIMARY KEY, score integer)")
    database.script("CREATE VIEW v AS SELECT id, score AS s FROM t")
    database.execute(
        "CREATE FUNCTION score_of(i integer) RETURNS integer LANGUAGE sql STABLE AS 'SELECT score FROM t WHERE id = i'"
    )
    database.execute(f"INSERT INTO t SELECT i, i FROM {numbers(database, ROWS)}")
    value = HIDDEN[how].replace("v.s + count(q.id)", "max(v.s) + count(q.id)")
    wanted = database.rows(f"SELECT t.id, {value} FROM t ORDER BY t.id")
    done = library.backfill(url=database.url, table="t", all_rows=True, set=[f"score = {value}"], batch_size=50)
    assert (done.strategy, done.rows) == ("list", ROWS), "evaluated once"
    assert database.rows("SELECT id, score FROM t ORDER BY id") == wanted


def test_a_condition_that_names_the_file_is_seen_to_read_its_table(new_database: NewDatabase) -> None:
    """SQLite's main.t has no stand-in by which to tell what is read besides."""
    for where in (
        "main.t.parent = 3 AND id IN (SELECT id FROM t ORDER BY u LIMIT 9)",
        "main.t.id > 9 AND id IN (SELECT max(id) FROM main.t GROUP BY u)",
    ):
        database = tables(new_database, "sqlite")
        left = database.column(f"SELECT id FROM t WHERE NOT ({where}) ORDER BY id")
        done = library.purge(url=database.url, table="t", where=where, allow=["scan"], batch_size=5)
        assert done.strategy == "list", "evaluated once"
        assert database.column("SELECT id FROM t ORDER BY id") == left
    done = library.purge(url=database.url, table="t", where="main.t.parent IN (SELECT id FROM p)", allow=["scan"])
    assert done.reason == "done"
