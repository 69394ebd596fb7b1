"""Tables as real applications have them: rows leave them and come back as they were, whatever these are called."""

from pathlib import Path

from tests.command import here
from tests.conftest import NewDatabase
from tests.restore.rows import described
from tests.services.database import Database

ODD = 'odd %s "of" 100%T'
ROWS = 40


def quoted(database: Database, name: str) -> str:
    mark = "`" if database.backend == "mysql" else '"'
    return mark + name.replace(mark, 2 * mark) + mark


def moved(database: Database, table: str, to: str, where: str, *more: str) -> int:
    """How many rows an archive that ended well has moved."""
    done = here("archive", table, "--url", database.url, "--where", where, "--to", to, "-y", "--json", *more)
    assert done.code == 0, done
    assert "hold no key" not in done.err
    rows: int = done.json()["rows"]
    return rows


def restored(database: Database, folder: Path, *more: str) -> None:
    done = here("restore", folder, "--url", database.url, "-y", "--json", *more)
    assert done.code == 0, done


def comes_back(database: Database, folder: Path, table: str, where: str, label: str, *more: str) -> None:
    """Into a new table, into its own, and looked for there."""
    before = described(database, label)[1]
    rows = moved(database, table, f"{folder}/", where, *more)
    assert here("archive", "verify", folder, "--against", database.url).code == 0
    left = described(database, label)[1]
    restored(database, folder, "--into", "fresh")
    assert sorted(described(database, "fresh")[1] + left) == before
    restored(database, folder)
    assert described(database, label)[1] == before
    found = here("archive", "verify", folder, "--against", database.url)
    assert (found.code, f"{rows} rows in the table too, as they were archived" in found.out) == (3, True), found


def test_names_that_drivers_and_servers_would_read_as_something_else(database: Database, tmp_path: Path) -> None:
    table, key, note = (quoted(database, name) for name in (ODD, "Id %s", "sel:ect %(a)s"))
    database.script(f"CREATE TABLE {table} ({key} integer PRIMARY KEY, {note} varchar(20))")
    database.script(f"INSERT INTO {table} VALUES {', '.join(f'({n}, {n % 3})' for n in range(ROWS))}")
    comes_back(database, tmp_path, table, f"{key} < 30", table)


def test_numbers_that_the_database_always_gives_itself(postgresql: Database) -> None:
    made = (
        "CREATE TABLE %s (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a) STORED)"
    )
    postgresql.script(made % "t" + "; " + made % "old" + "; INSERT INTO t (a) SELECT generate_series(1, 40)")
    listed = "WITH few (id) AS (SELECT id FROM old) SELECT id FROM few UNION SELECT generate_series(1, 40)"
    where = f"a < 30 AND id IN ({listed})"
    assert moved(postgresql, "t", "old", where) == 29
    assert postgresql.rows("SELECT sum(id), sum(b) FROM old") == [(435, 435)]


class TestSQLite:
    def test_a_column_that_converts_nothing(self, sqlite: Database, tmp_path: Path) -> None:
        sqlite.script("CREATE TABLE t (id INTEGER PRIMARY KEY, v ANY) STRICT")
        sqlite.script("INSERT INTO t VALUES (1, '007'), (2, 7.0), (3, 7), (4, x'07'), (5, NULL)")
        comes_back(sqlite, tmp_path, "t", "id < 5", "t")
        sqlite.script("CREATE TABLE loose (id INTEGER PRIMARY KEY, v ANY)")
        done = here("restore", tmp_path, "--url", sqlite.url, "--into", "loose", "-y", "--json")
        assert (done.code, sqlite.column("SELECT id FROM loose ORDER BY id")) == (3, [3, 4]), done

    def test_a_key_that_may_be_null(self, sqlite: Database, tmp_path: Path, new_database: NewDatabase) -> None:
        table, other = "CREATE TABLE t (k TEXT PRIMARY KEY, v INT)", new_database("sqlite")
        sqlite.script(f"{table}; INSERT INTO t VALUES ('a', 1), ('b', 2), ('c', 5)")
        comes_back(sqlite, tmp_path / "a", "t", "v < 5", "t")
        other.script(table)
        sqlite.script("INSERT INTO t VALUES (NULL, 3)")
        to = ("--to", "env:OTHER_URL#t", "-y", "--json")
        done = here("archive", "t", "--url", sqlite.url, "--where", "v < 5", *to, env={"OTHER_URL": other.url})
        assert (done.code, done.json()["rows"], "its key is NULL" in done.json()["error"]["message"]) == (3, 2, True)
        assert (other.column("SELECT k FROM t ORDER BY 1"), sqlite.column("SELECT v FROM t ORDER BY 1")) == (
            ["a", "b"],
            [3, 5],
        )
        moved(sqlite, "t", f"{tmp_path}/b/", "v = 3")
        restored(sqlite, tmp_path / "b", "--into", "nulls")
        assert sqlite.rows("SELECT k, v FROM nulls") == [(None, 3)]


def test_zero_is_not_the_next_number_of_mariadb(mariadb: Database) -> None:
    mariadb.script("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, day date); CREATE TABLE old LIKE t")
    mariadb.script("SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'; INSERT INTO t VALUES (0, '2020-02-31')")
    mariadb.script("INSERT INTO t VALUES (-5, '0000-00-00'), (7, '2020-01-01')")
    assert moved(mariadb, "t", "old", "id < 7") == 2
    assert mariadb.rows("SELECT id, CAST(day AS char) FROM old ORDER BY id") == [(-5, "0000-00-00"), (0, "2020-02-31")]
    moved(mariadb, "t", "old", "id = 7", "--keep")
    assert mariadb.column("SELECT id FROM old ORDER BY id") == [-5, 0, 7]
