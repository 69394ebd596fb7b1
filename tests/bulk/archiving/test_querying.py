"""SQL over what a database has archived gives the answers that the database gave."""

from pathlib import Path

import pytest

import batchops as library
from tests.command import here
from tests.services.database import Database

MAKE = {
    "postgresql": "CREATE TABLE t (id bigint PRIMARY KEY, code text, price numeric(12,2), at timestamptz, raw bytea)",
    "mariadb": "CREATE TABLE t (id bigint PRIMARY KEY, code text, price decimal(12,2), at datetime(6), raw blob)",
    "sqlite": "CREATE TABLE t (id integer PRIMARY KEY, code text, price text, at text, raw blob)",
}
ROWS = (
    "(1, '007', '1.10', '2024-01-31 10:00:00', NULL), (2, '', '-0.20', '2024-01-31 10:00:00.5', NULL), "
    "(3, NULL, NULL, NULL, NULL), (4, 'a,\"b\"', '1000000000.00', '1999-12-31 23:59:59', NULL)"
)
SUMS = "SELECT count(*), sum(id), count(code), min(code), max(code), sum(CAST(price AS decimal(20,2))) FROM t"


@pytest.mark.wide(3)
@pytest.mark.parametrize("format", ["parquet", "jsonl", "csv"])
def test_the_answers_are_those_of_the_database(database: Database, tmp_path: Path, format: str) -> None:
    database.execute(MAKE[{"mysql": "mariadb"}.get(database.backend, database.backend)])
    database.execute(f"INSERT INTO t VALUES {ROWS}")
    before = database.rows(SUMS)
    to = ("--to", f"{tmp_path}/a/", "--url", database.url, "-y", "--json", "--format", format)
    assert here("archive", "t", "--where", "id < 3", *to).code == 0
    database.execute("ALTER TABLE t ADD COLUMN more int")
    database.execute("UPDATE t SET more = id")
    done = here("archive", "t", "--all-rows", *to)
    assert (done.code, done.json()["rows"]) == (0, 2), done
    with library.archive_query(tmp_path / "a", SUMS) as result:
        (found,) = result.rows
    assert [str(value) for value in found] == [_shown(value) for value in before[0]]
    asked = here("archive", "query", tmp_path / "a", "SELECT id, more FROM t ORDER BY id")
    assert (asked.code, asked.out) == (0, "id,more\n1,\n2,\n3,3\n4,4\n")
    first = here(
        "archive", "query", tmp_path / "a", "SELECT * FROM t", "--run", str(done.json()["run"]), "--json"
    ).json()
    assert [column["name"] for column in first["columns"]][-1] == "more"
    assert [row[0] for row in first["rows"]] == [3, 4]


def test_copies_of_the_same_rows_are_named(sqlite: Database, tmp_path: Path) -> None:
    sqlite.execute(MAKE["sqlite"])
    sqlite.execute(f"INSERT INTO t VALUES {ROWS}")
    for _ in range(2):
        assert here("archive", "t", "--all-rows", "--keep", "--to", f"{tmp_path}/", "--url", sqlite.url, "-y").code == 0
    both = here("archive", "query", tmp_path, "SELECT count(*) FROM t", "--format", "csv")
    assert (both.code, both.out.split()[1]) == (0, "8")
    assert "t was copied by --keep in run 1, 2: other runs may hold the same rows" in both.err
    one = here("archive", "query", tmp_path, "SELECT count(*) FROM t", "--run", "2")
    assert (one.out.split()[1], one.err) == ("4", "")


def test_a_family_is_queried_and_pruned_as_a_whole(sqlite: Database, tmp_path: Path) -> None:
    sqlite.execute("CREATE TABLE parent (id integer PRIMARY KEY)")
    sqlite.execute("CREATE TABLE child (id integer PRIMARY KEY, p integer REFERENCES parent)")
    sqlite.execute("CREATE TABLE note (id integer PRIMARY KEY, p integer REFERENCES parent ON DELETE SET NULL)")
    for table in ("parent (id)", "child (id, p)", "note (id, p)"):
        sqlite.execute(f"INSERT INTO {table} VALUES {'(1), (2)' if 'p)' not in table else '(1, 1), (2, 2)'}")
    words = ("--with-children", "--to", f"{tmp_path}/", "--url", sqlite.url, "-y", "--json", "--where")
    runs = [here("archive", "parent", *words, f"id = {number}").json()["run"] for number in (1, 2)]
    joined = here("archive", "query", tmp_path, "SELECT c.id, p.id FROM child c JOIN parent p ON c.p = p.id ORDER BY 1")
    assert joined.out.splitlines()[1:] == ["1,1", "2,2"], joined
    assert (tmp_path / "nulled").is_dir()
    done = here("archive", "prune", tmp_path, "--run", str(runs[0]), "-y", "--json").json()
    assert {(one["table"], one["rows"], one["nulled"]) for one in done["pruned"][0]["tables"]} == {
        ("parent", 1, False), ("child", 1, False), ("note", 1, True),
    }  # fmt: skip
    assert here("archive", "verify", tmp_path).code == 0
    assert here("archive", "query", tmp_path, "SELECT id FROM child").out == "id\n2\n"
    assert not [*tmp_path.rglob(f"*run-{runs[0]:06}*/*")]


def _shown(value: object) -> str:
    return f"{value:.2f}" if type(value) is float else str(value)
