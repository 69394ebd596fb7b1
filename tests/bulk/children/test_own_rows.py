"""Tables that refer to themselves: leaf first, in a plain purge as in one with children."""

import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import batchops as library
from tests.bulk.plan.situations import numbers
from tests.conftest import NewDatabase
from tests.services.database import Database

pytestmark = pytest.mark.in_turn
DEEP = 20


def chains(
    database: Database, rows: int, *, rule: str = "NO ACTION", null: bool = True, own: bool = False,
    key: str = "integer NOT NULL",
) -> None:  # fmt: skip
    """Lines of `DEEP` rows, each of which refers to the one `rows / DEEP` before it; the first to itself or nothing."""
    lines = rows // DEEP
    kind, may = key.partition(" ")[0], "" if null else " NOT NULL"
    database.script(
        f"CREATE TABLE c (id {key} PRIMARY KEY, up {kind}{may}, gone integer NOT NULL,"
        f" FOREIGN KEY (up) REFERENCES c (id) ON DELETE {rule}); CREATE INDEX c_up ON c (up)"
    )
    first = "NULL" if null and not own else "i"
    database.execute(
        f"INSERT INTO c SELECT i, CASE WHEN i <= {lines} THEN {first} ELSE i - {lines} END, 1"
        f" FROM {numbers(database, rows)} ORDER BY i"
    )


@pytest.mark.parametrize(("rule", "null"), [("NO ACTION", True), ("RESTRICT", False)])
def test_every_row_goes(database: Database, rule: str, null: bool) -> None:
    """Also with a batch that is smaller than a line is long. MariaDB keeps a row that has to refer to itself."""
    chains(database, 400, rule=rule, null=null)
    kept = 0 if null or database.backend != "mysql" else 400 // DEEP
    finished = library.purge(url=database.url, table="c", all_rows=True, batch_size=15 if null else 200)
    assert (finished.reason, finished.rows) == ("incomplete" if kept else "done", 400 - kept), finished
    assert (finished.rejected, database.scalar("SELECT count(*) FROM c")) == (kept, kept)


@pytest.mark.parametrize("with_children", [pytest.param(True, marks=pytest.mark.full), False])
def test_rows_that_may_refer_to_nothing_and_refer_to_themselves(database: Database, with_children: bool) -> None:
    chains(database, 100, own=True)
    job = {"url": database.url, "table": "c", "where": "gone = 1", "batch_size": 30}
    finished = library.purge(**job, with_children=with_children)
    assert (finished.reason, finished.rows) == ("done", 100), finished


def test_only_listed_rows_go_with_their_children(database: Database, tmp_path: Path) -> None:
    """A table that refers to itself is visited from the end of the list, not from the end of the table."""
    chains(database, 100)
    listed = tmp_path / "ids"
    listed.write_text("".join(f"{row}\n" for row in range(81, 101, 2)))
    finished = library.purge(url=database.url, table="c", ids=str(listed), with_children=True, batch_size=30)
    assert (finished.reason, finished.rows) == ("done", 18)
    assert database.scalar("SELECT count(*) FROM c") == 82
    assert database.scalar("SELECT count(*) FROM c WHERE id <= 80 OR id IN (82, 84)") == 82


def test_rows_that_others_need_are_not_refused(database: Database) -> None:
    """--max-rejected is for what the database refuses: the condition itself keeps these, as it does each night."""
    chains(database, 400)
    database.execute("UPDATE c SET gone = 0 WHERE id > 380 AND id % 2 = 0")
    finished = library.purge(url=database.url, table="c", where="gone = 1", max_rejected=0)
    assert (finished.reason, finished.rows, finished.rejected) == ("incomplete", 200, 190), finished


def test_a_table_without_rowid_sets_some_rows_to_null(sqlite: Database) -> None:
    """More rows than fit into a batch refer to one: the first of them are found by their key."""
    sqlite.script(
        "CREATE TABLE c (id text PRIMARY KEY, up text REFERENCES c (id) ON DELETE SET NULL) WITHOUT ROWID;"
        " CREATE INDEX c_up ON c (up)"
    )
    sqlite.insert("c", ["id", "up"], [(f"{i:02}", "00" if i else None) for i in range(20)])
    finished = library.purge(url=sqlite.url, table="c", where="id = '00'", with_children=True, batch_size=3)
    assert (finished.reason, finished.rows) == ("done", 1), finished
    assert sqlite.scalar("SELECT count(*) FROM c WHERE up IS NULL") == 19


@pytest.mark.parametrize("where", ["up IS NULL", "up IS NOT NULL"])
def test_a_condition_on_a_reference_that_deletes_set_to_null_is_evaluated_once(
    database: Database, tmp_path: Path, where: str
) -> None:
    """Rows that lose their parent match only then, or no longer: by "up IS NULL" each batch found the next rows."""
    chains(database, 100, rule="SET NULL")
    before = database.rows("SELECT id, up FROM c ORDER BY id")
    expected = database.scalar(f"SELECT count(*) FROM c WHERE {where}")
    job = {"url": database.url, "table": "c", "where": where, "batch_size": 7}
    archived = library.archive(**job, with_children=True, to=f"{tmp_path}/a/", format="jsonl")
    assert (archived.reason, archived.rows) == ("done", expected), archived
    assert database.scalar("SELECT count(*) FROM c") == 100 - expected
    library.restore(url=database.url, destination=tmp_path / "a")
    assert database.rows("SELECT id, up FROM c ORDER BY id") == before
    finished = library.purge(**job, allow=["cascades"])
    assert (finished.reason, finished.rows) == ("done", expected), finished
    assert database.scalar("SELECT count(*) FROM c") == 100 - expected


def test_a_reference_that_deletes_set_to_null_by_way_of_another_table(postgresql: Database) -> None:
    postgresql.script(
        "CREATE TABLE a (id integer PRIMARY KEY, b integer);"
        "CREATE TABLE b (id integer PRIMARY KEY, a integer REFERENCES a ON DELETE CASCADE);"
        "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b ON DELETE SET NULL;"
        "CREATE INDEX ON a (b); CREATE INDEX ON b (a);"
        "INSERT INTO a SELECT generate_series(1, 40); INSERT INTO b SELECT id, id FROM a;"
        "UPDATE a SET b = id - 10 WHERE id > 10"
    )
    job = {"url": postgresql.url, "table": "a", "where": "b IS NULL", "batch_size": 3}
    assert library.purge(**job, allow=["cascades"]).rows == 10
    assert postgresql.scalar("SELECT count(*) FROM a WHERE b IS NULL") == 10


@pytest.mark.full
def test_rows_that_others_need_stay_with_all_above_them(database: Database) -> None:
    """The last row of each second line stays, so that the line stays; and none of them is tried again and again."""
    chains(database, 400)
    database.execute("UPDATE c SET gone = 0 WHERE id > 380 AND id % 2 = 0")
    finished = library.purge(url=database.url, table="c", where="gone = 1", batch_size=100)
    assert finished.reason == "incomplete"
    assert finished.rows == 200
    assert finished.rejected == 190
    assert database.scalar("SELECT count(*) FROM c WHERE gone = 1") == 190
    assert any("do not match" in cause.reason for cause in finished.rejected_causes)


@pytest.mark.full
@pytest.mark.parametrize(("key", "rows"), [("integer NOT NULL", {"where": "id = 1"}), ("bigint", {"all_rows": True})])
def test_more_rows_than_a_statement_lists(sqlite: Database, key: str, rows: dict[str, Any]) -> None:
    """Whatever a statement deletes, nothing that is left refers to it. A bigint may be NULL: rowid names the rows."""
    chains(sqlite, 20, key=key)
    sqlite.execute(f"INSERT INTO c SELECT 20 + i, 19 + i, 0 FROM {numbers(sqlite, 7_000)} ORDER BY i")
    finished = library.purge(url=sqlite.url, table="c", **rows, with_children=True, batch_size=12_000)
    assert (finished.reason, finished.rows) == ("done", 7_020), finished


def test_a_limit_holds(database: Database) -> None:
    chains(database, 400)
    finished = library.purge(url=database.url, table="c", all_rows=True, max_rows=70)
    assert (finished.reason, finished.rows) == ("max-rows", 70)
    assert database.scalar("SELECT count(*) FROM c") == 330


@pytest.mark.parametrize("options", [{"all_rows": True}, {"where": "gone = 1"}, {"all_rows": True, "max_rows": 2_000}])
@pytest.mark.parametrize("towards", [-1, 1])
def test_a_long_line_goes_without_a_look_at_what_refers_to_what(
    database: Database, towards: int, options: dict[str, Any]
) -> None:
    """Each row refers to the one before it, or to the one behind: rows go from the end, or from the beginning."""
    rows = 2_000
    database.script(
        "CREATE TABLE c (id integer NOT NULL PRIMARY KEY, up integer, gone integer NOT NULL,"
        " FOREIGN KEY (up) REFERENCES c (id)); CREATE INDEX c_up ON c (up)"
    )
    order = "i" if towards < 0 else "-i"
    first = 1 if towards < 0 else rows
    database.execute(
        f"INSERT INTO c SELECT i, CASE WHEN i <> {first} THEN i + {towards} END, 1"
        f" FROM {numbers(database, rows)} ORDER BY {order}"
    )
    looked = list[str]()

    def hear(*sent: Any) -> None:
        if re.search(r"""["`]up["`]""", sent[2]) and "EXPLAIN" not in sent[2]:
            looked.append(sent[2])

    sa.event.listen(sa.Engine, "before_cursor_execute", hear)
    try:
        finished = library.purge(url=database.url, table="c", **options)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", hear)
    assert (finished.rows, finished.rejected, database.scalar("SELECT count(*) FROM c")) == (rows, 0, 0)
    assert not looked


def test_with_children_all_below_goes(database: Database) -> None:
    """Rows that refer to one that goes need not match; they count, and no limit is exceeded by them."""
    chains(database, 1_000)
    database.execute("UPDATE c SET gone = 0 WHERE id > 25")
    job = {"url": database.url, "table": "c", "where": "gone = 1", "with_children": True, "batch_size": 50}
    some = library.purge(**job, max_rows=70)
    assert (some.reason, some.rows, database.scalar("SELECT count(*) FROM c")) == ("max-rows", 70, 930)
    finished = library.purge(**job, restart=True)
    assert (finished.reason, finished.rows) == ("done", 430)
    assert finished.families is not None
    assert finished.families.tables == {"c": 430}
    assert database.scalar("SELECT count(*) FROM c") == 500


@pytest.mark.parametrize("name", ["postgresql", "sqlite"])
def test_a_circle_that_is_deferred_goes_in_one_transaction(new_database: NewDatabase, name: str) -> None:
    """Neither column may be NULL: only a constraint that is checked at COMMIT lets both rows go."""
    database = new_database(name)
    late = "DEFERRABLE INITIALLY DEFERRED"
    database.script(
        "CREATE TABLE a (id integer NOT NULL PRIMARY KEY, b_id integer NOT NULL"
        + (f", FOREIGN KEY (b_id) REFERENCES b (id) {late})" if name == "sqlite" else ")")
    )
    database.script(f"CREATE TABLE b (id integer NOT NULL PRIMARY KEY, a_id integer NOT NULL REFERENCES a (id) {late})")
    database.script("CREATE INDEX a_b ON a (b_id); CREATE INDEX b_a ON b (a_id)")
    if name == "postgresql":
        database.script(f"ALTER TABLE a ADD FOREIGN KEY (b_id) REFERENCES b (id) {late}")
    with database.engine.begin() as connection:
        for table in ("a", "b"):
            connection.exec_driver_sql(f"INSERT INTO {table} SELECT i, i FROM {numbers(database, 100)}")
    finished = library.purge(url=database.url, table="a", where="id % 2 = 0", with_children=True, batch_size=20)
    assert (finished.reason, finished.rows) == ("done", 50), finished
    assert database.column("SELECT id FROM b ORDER BY id") == list(range(1, 100, 2))


@pytest.mark.parametrize("with_children", [True, False])
def test_references_to_rows_that_are_not_there(sqlite: Database, with_children: bool) -> None:
    """A session for which keys do not count leaves what it likes; the run's own session lets them count, and no row
    is taken for unneeded because such a reference goes with it."""
    chains(sqlite, 100)
    sqlite.execute("PRAGMA foreign_keys = OFF")
    sqlite.execute(f"INSERT INTO c SELECT 1000 + i, 5000 - i, i % 2 FROM {numbers(sqlite, 50)}")
    sqlite.execute("UPDATE c SET gone = 0 WHERE id = 100")
    finished = library.purge(url=sqlite.url, table="c", where="gone = 1", batch_size=30, with_children=with_children)
    if with_children:
        assert (finished.reason, finished.rows) == ("done", 125), finished
        assert sqlite.scalar("SELECT count(*) FROM c WHERE id <= 100") == 0
        return
    assert (finished.reason, finished.rows, finished.rejected) == ("incomplete", 105, 19), finished
    assert sqlite.scalar("SELECT count(*) FROM c WHERE gone = 1") == DEEP - 1


def test_listed_rows_that_the_run_itself_changes_go(database: Database) -> None:
    """3 loses its reference to 2, which is not listed and goes with 1; so 3 is not as it was when it was listed."""
    database.script(
        "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, gone integer NOT NULL, p integer, q integer,"
        " FOREIGN KEY (p) REFERENCES t (id), FOREIGN KEY (q) REFERENCES t (id) ON DELETE SET NULL);"
        "CREATE INDEX t_p ON t (p); CREATE INDEX t_q ON t (q)"
    )
    database.insert(
        "t", ("id", "gone", "p", "q"), [(1, 1, None, None), (2, 0, 1, None), (3, 1, None, 2), (4, 0, None, 2)]
    )
    done = library.purge(
        url=database.url, table="t", where="gone = 1", strategy="list", with_children=True, batch_size=1
    )
    assert (done.reason, done.rejected, done.rows) == ("done", 0, 3), done
    assert database.rows("SELECT id, p, q FROM t") == [(4, None, None)]


def test_a_changed_row_that_goes_as_a_child_of_another_is_not_left(database: Database) -> None:
    """A trigger changes 3, which is listed, as 1 goes with its child. Later 3 goes as a child of 7."""
    database.script(
        "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, gone integer NOT NULL, p integer, n integer DEFAULT 0,"
        " FOREIGN KEY (p) REFERENCES t (id)); CREATE INDEX t_p ON t (p); CREATE TABLE c (id integer PRIMARY KEY,"
        " t integer, FOREIGN KEY (t) REFERENCES t (id)); CREATE INDEX c_t ON c (t)"
    )
    database.insert("t", ("id", "gone", "p"), [(1, 1, None), (3, 1, None), (7, 1, None)])
    database.insert("c", ("id", "t"), [(1, 1)])
    database.execute("UPDATE t SET p = 7 WHERE id = 3")
    database.script(
        {
            "postgresql": "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN UPDATE t SET n = n + 1 WHERE id = 3; RETURN NULL; END';"
            "CREATE TRIGGER g AFTER DELETE ON c FOR EACH ROW EXECUTE FUNCTION f();",
            "mysql": "CREATE TRIGGER g AFTER DELETE ON c FOR EACH ROW UPDATE t SET n = n + 1 WHERE id = 3;",
            "sqlite": "CREATE TRIGGER g AFTER DELETE ON c BEGIN UPDATE t SET n = n + 1 WHERE id = 3; END;",
        }[database.backend]
    )
    done = library.purge(
        url=database.url,
        table="t",
        where="gone = 1",
        strategy="list",
        with_children=True,
        batch_size=1,
        allow=["triggers"],
    )
    assert (done.reason, done.rejected, done.rows) == ("done", 0, 3), done
    assert database.rows("SELECT id FROM t") == []
