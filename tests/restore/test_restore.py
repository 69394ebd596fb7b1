"""restore: into the table or a new one, under conflicts, with columns that changed, cut off and continued."""

import json
import random
import signal
import time
from pathlib import Path

import pytest

import batchops as library
from batchops.errors import IntegrityError, NotFoundError, RefusedError, UsageError
from batchops.events import Committed, Event, Rejected
from batchops.runtime.stop import Stop
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.crash.test_kills import wait_for_progress
from tests.restore.rows import archive_table, described
from tests.services.database import Database

pytestmark = pytest.mark.in_turn
ROWS = 2_500


@pytest.fixture
def orders(database: Database) -> Database:
    """A table of orders that has not lost any row yet."""
    database.execute("CREATE TABLE orders (id integer PRIMARY KEY, kind integer NOT NULL, note varchar(40))")
    database.insert("orders", ("id", "kind", "note"), [(n, n % 7, f"note {n}") for n in range(1, ROWS + 1)])
    return database


def count(database: Database, table: str = "orders") -> int:
    return int(database.scalar(f"SELECT count(*) FROM {table}"))


def test_rows_come_back_into_their_table(orders: Database, tmp_path: Path, batchops: Batchops) -> None:
    before = archive_table(orders, "orders", tmp_path)
    orders.execute("DELETE FROM orders WHERE kind < 3")
    orders.execute("UPDATE orders SET note = 'changed' WHERE kind = 6")
    gone = ROWS - count(orders)
    command = ("restore", str(tmp_path), "--url", orders.url)
    plan = batchops(*command, "-n")
    assert (plan.code, count(orders)) == (0, ROWS - gone)
    assert f"{ROWS:,} in 3 files" in plan.out
    unasked = batchops(*command)
    assert (unasked.code, "-y" in unasked.err) == (2, True)
    conflict = batchops(*command, "-y", "--json")
    assert conflict.code == 1
    document = json.loads(conflict.out)
    assert 'is in "orders" already' in document["error"]["message"]
    skipping = json.loads(batchops(*command, "-y", "--on-conflict", "skip", "--json").out)
    assert (skipping["reason"], skipping["rows"] + skipping["skipped"], skipping["exit"]) == ("done", ROWS, 0)
    assert count(orders) == ROWS
    assert orders.scalar("SELECT count(*) FROM orders WHERE note = 'changed'") == len(range(6, ROWS + 1, 7))
    again = json.loads(batchops(*command, "-y", "--on-conflict", "replace", "--json").out)
    assert again["reason"] == "already-done"
    replaced = json.loads(batchops(*command, "-y", "--on-conflict", "replace", "--restart", "--json").out)
    assert (replaced["reason"], replaced["rows"], replaced["skipped"]) == ("done", ROWS, 0)
    assert described(orders, "orders")[1] == before


@pytest.mark.full
def test_a_condition_chooses_rows(orders: Database, tmp_path: Path) -> None:
    archive_table(orders, "orders", tmp_path)
    orders.execute("DELETE FROM orders")
    done = library.restore(destination=tmp_path, where="kind = 3 OR note = 'note 7'", url=orders.url)
    assert (done.reason, done.rows, done.read) == ("done", count(orders), ROWS)
    assert done.rows == orders.scalar("SELECT count(*) FROM orders WHERE kind = 3") + 1
    bound = library.restore(
        destination=tmp_path, where="id = :id", params={"id": 5}, into="others", url=orders.url
    )  # fmt: skip
    assert (bound.reason, count(orders, "others")) == ("done", 1)
    with pytest.raises(UsageError, match="no column"):
        library.restore(destination=tmp_path, where="kid = 3", into="more", url=orders.url)


@pytest.mark.full
def test_what_was_archived_since_is_restored_alone(orders: Database, tmp_path: Path) -> None:
    archive_table(orders, "orders", tmp_path, run=1)
    orders.execute("DELETE FROM orders")
    first = library.restore(destination=tmp_path, url=orders.url)
    assert (first.reason, first.rows) == ("done", ROWS)
    orders.execute("DELETE FROM orders")
    orders.insert("orders", ("id", "kind", "note"), [(90_000, 1, "late")])
    archive_table(orders, "orders", tmp_path, run=2)
    orders.execute("DELETE FROM orders")
    second = library.restore(destination=tmp_path, url=orders.url)
    assert (second.reason, second.rows, orders.column("SELECT id FROM orders")) == ("done", 1, [90_000])
    only = library.restore(destination=tmp_path, of_run=1, into="of_one", url=orders.url)
    assert (only.reason, count(orders, "of_one")) == ("done", ROWS)


@pytest.mark.full
def test_a_table_that_is_another_one_is_filled_anew(orders: Database, tmp_path: Path) -> None:
    archive_table(orders, "orders", tmp_path)
    for _ in range(2):
        done = library.restore(destination=tmp_path, into="again", url=orders.url)
        assert (done.reason, count(orders, "again")) == ("done", ROWS)
        assert library.restore(destination=tmp_path, into="again", url=orders.url).reason == "already-done"
        orders.execute("DROP TABLE again")
    if orders.backend == "postgresql":  # the others do not tell, or not everyone
        library.restore(destination=tmp_path, into="again", url=orders.url)
        orders.script("CREATE TABLE new (LIKE again INCLUDING ALL); DROP TABLE again; ALTER TABLE new RENAME TO again;")
        assert library.restore(destination=tmp_path, into="again", url=orders.url).rows == ROWS


@pytest.mark.full
def test_columns_that_are_gone_and_columns_that_are_new(orders: Database, tmp_path: Path) -> None:
    archive_table(orders, "orders", tmp_path)
    orders.execute("CREATE TABLE narrow (id integer PRIMARY KEY, kind integer, added integer DEFAULT 5)")
    with pytest.raises(RefusedError, match="has no column note"):
        library.restore(destination=tmp_path, into="narrow", url=orders.url)
    done = library.restore(destination=tmp_path, into="narrow", drop_columns=True, url=orders.url)
    assert (done.reason, done.rows) == ("done", ROWS)
    assert orders.rows("SELECT min(added), max(added), sum(id) FROM narrow") == [(5, 5, ROWS * (ROWS + 1) // 2)]
    orders.execute("CREATE TABLE wide (id integer PRIMARY KEY, kind integer, note text, needed integer NOT NULL)")
    with pytest.raises(RefusedError, match="needed"):
        library.restore(destination=tmp_path, into="wide", url=orders.url)
    orders.execute("CREATE TABLE later (id integer PRIMARY KEY, kind integer NOT NULL, more integer NOT NULL)")
    orders.execute("INSERT INTO later VALUES (90000, 1, 7)")
    archive_table(orders, "later", tmp_path, run=2, label="orders")
    done = library.restore(destination=tmp_path, into="of_all", url=orders.url)  # a new table takes what any run has
    assert (done.reason, done.rows) == ("done", ROWS + 1)
    assert orders.rows("SELECT count(note), count(more), sum(more) FROM of_all") == [(ROWS, 1, 7)]


def test_a_value_that_a_type_would_change_is_rejected(orders: Database, tmp_path: Path) -> None:
    if orders.backend == "sqlite":
        pytest.skip("a SQLite column takes any value")
    orders.execute("CREATE TABLE prices (id integer PRIMARY KEY, price numeric(10,3))")
    orders.insert("prices", ("id", "price"), [(1, "1.500"), (2, "2.125"), (3, "3.000")])
    archive_table(orders, "prices", tmp_path)
    orders.execute("CREATE TABLE rounded (id bigint PRIMARY KEY, price numeric(12,1))")
    events: list[Event] = []
    done = library.restore(destination=tmp_path, into="rounded", url=orders.url, on_event=events.append)
    assert (done.reason, done.exit, done.rows, done.rejected) == ("incomplete", 3, 2, 1)
    (rejected,) = [one for one in events if isinstance(one, Rejected)]
    assert rejected.key == "id=2"
    assert orders.column("SELECT id FROM rounded ORDER BY 1") == [1, 3]


def test_rows_that_the_table_refuses_are_named(orders: Database, tmp_path: Path) -> None:
    archive_table(orders, "orders", tmp_path)
    orders.execute(
        "CREATE TABLE strict_orders (id integer PRIMARY KEY, kind integer NOT NULL, note varchar(40), "
        "CHECK (id NOT IN (17, 1200)))"
    )
    events: list[Event] = []
    done = library.restore(destination=tmp_path, into="strict_orders", url=orders.url, on_event=events.append)
    assert (done.reason, done.exit, done.rows, done.rejected) == ("incomplete", 3, ROWS - 2, 2)
    assert sorted(one.key for one in events if isinstance(one, Rejected)) == ["id=1200", "id=17"]


def test_a_stopped_run_goes_on_where_it_was(orders: Database, tmp_path: Path) -> None:
    before = archive_table(orders, "orders", tmp_path, rows=700)
    orders.execute("DELETE FROM orders")
    options = {"destination": tmp_path, "url": orders.url, "batch_size": 300}
    limited = library.restore(max_rows=650, **options)
    assert (limited.reason, limited.rows <= 650, limited.rows) == ("max-rows", True, count(orders))
    stop, events = Stop(), []

    def after_one(event: Event) -> None:
        events.append(event)
        if isinstance(event, Committed):
            stop.ask("stopped")

    stopped = library.restore(on_event=after_one, stop=stop, **options)
    assert (stopped.reason, stopped.run, sum(isinstance(e, Committed) for e in events)) == ("stopped", limited.run, 1)
    done = library.restore(**options)
    assert (done.reason, done.run, done.rows) == ("done", limited.run, ROWS)
    assert described(orders, "orders")[1] == before


@pytest.mark.parametrize("kills", [2, pytest.param(60, marks=pytest.mark.full)])
def test_killed_at_any_moment_no_row_is_lost_or_double(
    orders: Database, tmp_path: Path, batchops: Batchops, kills: int
) -> None:
    """The table itself is made by the first of the killed processes."""
    before = archive_table(orders, "orders", tmp_path / "archive", rows=900)
    orders.execute("DROP TABLE orders")
    command = ("restore", str(tmp_path / "archive"), "--url", orders.url, "-y")
    chance = random.Random(11)
    for turn in range(kills):
        process = batchops.start(*command, "--batch-size", "20", "--sleep", "15ms")
        if turn % 4:
            wait_for_progress(process, orders)
        time.sleep(chance.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = batchops(*command, "--batch-size", "500", "--json")
    assert done.code == 0, done.err
    assert done.json()["reason"] in ("done", "already-done")
    assert described(orders, "orders")[1] == before


def test_rows_that_the_table_refused_are_not_called_done_later(
    orders: Database, tmp_path: Path, batchops: Batchops
) -> None:
    archive_table(orders, "orders", tmp_path)
    orders.execute("CREATE TABLE few (id bigint PRIMARY KEY, kind int CHECK (id % 100 <> 3 OR id < 100))")
    command = ("restore", str(tmp_path), "--url", orders.url, "--into", "few", "--drop-columns", "-y", "--json")
    first = batchops(*command, "--max-rejected", "5", "--batch-size", "50")
    assert (first.code, first.json()["reason"]) == (3, "max-rejected")
    later = batchops(*command, "--max-rejected", "5000")
    assert (later.code, later.json()["reason"]) == (3, "incomplete")
    assert later.json()["rejected"] == ROWS - count(orders, "few") > 0
    again = batchops(*command)
    assert (again.code, again.json()["reason"], again.json()["rejected"]) == (3, "incomplete", later.json()["rejected"])
    orders.execute("CREATE TABLE late (id integer PRIMARY KEY, kind integer NOT NULL, note varchar(40))")
    orders.execute("INSERT INTO late VALUES (90000, 1, 'late')")
    archive_table(orders, "late", tmp_path, run=2, label="orders")
    for _ in range(2):  # what was archived since is restored, and hides nothing
        fresh = batchops(*command)
        assert (fresh.code, fresh.json()["reason"]) == (3, "incomplete")
        assert f"{again.json()['rejected']:,} rows" in fresh.json()["error"]["message"]
        assert orders.scalar("SELECT count(*) FROM few WHERE id = 90000") == 1
    orders.execute("DROP TABLE few")
    orders.execute("CREATE TABLE few (id bigint PRIMARY KEY, kind int)")
    orders.execute("INSERT INTO few (id) SELECT id FROM orders WHERE id < 100")
    mended = batchops(*command, "--restart", "--on-conflict", "skip")
    assert (mended.code, count(orders, "few")) == (0, ROWS + 1)


def test_a_changed_file_is_not_restored(orders: Database, tmp_path: Path) -> None:
    archive_table(orders, "orders", tmp_path)
    orders.execute("DELETE FROM orders")
    second = tmp_path / "orders" / "run-000001" / "000002.parquet"
    whole = second.read_bytes()
    second.write_bytes(whole[:900] + b"x" + whole[901:])
    done = library.restore(destination=tmp_path, url=orders.url)
    assert (done.reason, done.exit, count(orders)) == ("integrity", 13, 1000)
    assert "000002.parquet is not the file that was archived" in str(done.error)
    second.unlink()
    missing = library.restore(destination=tmp_path, url=orders.url)
    assert (missing.reason, missing.exit, "is missing, with 1,000 archived rows" in str(missing.error)) == (
        "integrity", 13, True,
    )  # fmt: skip
    second.write_bytes(whole)
    rest = library.restore(destination=tmp_path, url=orders.url)
    assert (rest.reason, count(orders)) == ("done", ROWS)
    (tmp_path / "manifests" / "00000001.json").write_text("{")
    with pytest.raises(IntegrityError, match="is damaged"):
        library.restore(destination=tmp_path, into="another", url=orders.url)


def test_numbers_go_on_behind_the_restored_ones(database: Database, tmp_path: Path) -> None:
    numbered = {
        "postgresql": "id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "mysql": "id integer AUTO_INCREMENT PRIMARY KEY",
        "sqlite": "id integer PRIMARY KEY",
    }[database.backend]
    database.execute(f"CREATE TABLE things (name varchar(9), {numbered})")
    database.insert("things", ("name",), [(f"n{n}",) for n in range(50)])
    before = archive_table(database, "things", tmp_path)
    for into, way in (("things", "skip"), ("things_new", "fail")):
        database.execute("DELETE FROM things")
        done = library.restore(destination=tmp_path, into=into, on_conflict=way, url=database.url)
        assert (done.reason, done.rows) == ("done", 50)
        assert described(database, into)[1] == before
        database.execute(f"INSERT INTO {into} (name) VALUES ('next')")
        assert database.scalar(f"SELECT max(id) FROM {into}") == 51


def test_triggers_are_named_in_the_plan(orders: Database, tmp_path: Path, batchops: Batchops) -> None:
    archive_table(orders, "orders", tmp_path)
    orders.execute("DELETE FROM orders")
    orders.script(
        {
            "postgresql": "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
            "CREATE TRIGGER audit AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION f();",
            "mysql": "CREATE TRIGGER audit AFTER INSERT ON orders FOR EACH ROW SET @x = 1;",
            "sqlite": "CREATE TRIGGER audit AFTER INSERT\nON orders BEGIN SELECT 1; END;",
        }[orders.backend]
    )
    plan = batchops("restore", str(tmp_path), "--url", orders.url, "-n")
    assert "sets off triggers: audit" in plan.err + plan.out


UPDATING = {
    "postgresql": "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
    "CREATE TRIGGER audit AFTER UPDATE OF {0} ON orders FOR EACH ROW EXECUTE FUNCTION f();",
    "mysql": "CREATE TRIGGER audit AFTER UPDATE ON orders FOR EACH ROW SET @x = 1;",
    "sqlite": "CREATE TRIGGER audit AFTER UPDATE OF {0}\nON orders BEGIN SELECT 1; END;",
}


def test_triggers_of_an_update_are_named_where_rows_are_replaced(
    orders: Database, tmp_path: Path, batchops: Batchops
) -> None:
    archive_table(orders, "orders", tmp_path)
    orders.script(UPDATING[orders.backend].format("note"))
    plans = {
        way: batchops("restore", str(tmp_path), "--url", orders.url, "--on-conflict", way, "-n")
        for way in ("skip", "replace")
    }
    said = {way: 'An UPDATE of "orders" sets off triggers: audit' in plan.err + plan.out for way, plan in plans.items()}
    assert said == {"skip": False, "replace": True}, plans
    if orders.backend != "mysql":  # where a trigger may be for some columns: the key is not set
        orders.execute("DROP TRIGGER audit" + (" ON orders" if orders.backend == "postgresql" else ""))
        orders.script(UPDATING[orders.backend].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION").format("id"))
        plan = batchops("restore", str(tmp_path), "--url", orders.url, "--on-conflict", "replace", "-n")
        assert "sets off" not in plan.err + plan.out


def test_bad_input(orders: Database, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="There is no archive"):
        library.restore(destination=tmp_path / "none", url=orders.url)
    archive_table(orders, "orders", tmp_path)
    archive_table(orders, "orders", tmp_path, label="other", run=2)
    with pytest.raises(UsageError, match="--into is for one table"):
        library.restore(destination=tmp_path, into="elsewhere", url=orders.url)
    with pytest.raises(NotFoundError, match='No rows of a table "none"'):
        library.restore(destination=tmp_path, table="none", url=orders.url)
    with pytest.raises(NotFoundError, match="Run 9 has archived nothing"):
        library.restore(destination=tmp_path, table="orders", of_run=9, url=orders.url)
    with pytest.raises(UsageError, match="--on-conflict skip or replace"):
        library.restore(destination=tmp_path, table="orders", ledger="none", url=orders.url)
    orders.script(
        "CREATE TABLE keyless (id integer, kind integer, note varchar(40)); INSERT INTO keyless VALUES (0, 0, '')"
    )
    with pytest.raises(RefusedError, match="has no key"):
        library.restore(destination=tmp_path, table="orders", into="keyless", on_conflict="skip", url=orders.url)
    orders.execute("CREATE VIEW seen AS SELECT * FROM orders")
    with pytest.raises(RefusedError, match="is a view"):
        library.restore(destination=tmp_path, table="orders", into="seen", url=orders.url)
    done = library.restore(
        destination=tmp_path, table="orders", into="elsewhere", ledger="none", on_conflict="skip", url=orders.url
    )
    assert (done.reason, done.run, count(orders, "elsewhere")) == ("done", None, ROWS)


def test_what_archive_moved_comes_back(postgresql: Database, batchops: Batchops) -> None:
    """The verbs themselves, the one after the other; named from elsewhere, the archive is the same one."""
    postgresql.execute("CREATE TABLE orders (id integer PRIMARY KEY, kind integer NOT NULL, note varchar(40))")
    postgresql.insert("orders", ("id", "kind", "note"), [(n, n % 7, f"note {n}") for n in range(1, ROWS + 1)])
    before = described(postgresql, "orders")[1]
    env = {"BATCHOPS_URL": postgresql.url}
    moved = batchops("archive", "orders", "--where", "kind < 5", "--to", "shop/", "-y", "--json", env=env).json()
    assert (moved["reason"], moved["rows"]) == ("done", ROWS - count(postgresql))
    assert batchops("archive", "verify", "shop").code == 0
    back = batchops(*moved["restore"].split()[1:], "-y", "--json", "--max-rows", "100", env=env).json()
    assert (back["reason"], back["rows"]) == ("max-rows", 100)
    rest = batchops("restore", batchops.home / "shop", "--table", "orders", "-y", "--json", env=env).json()
    assert (rest["reason"], rest["run"], rest["rows"]) == ("done", back["run"], moved["rows"])
    assert described(postgresql, "orders")[1] == before


def test_a_recipe_restores(sqlite: Database, tmp_path: Path, batchops: Batchops) -> None:
    sqlite.execute("CREATE TABLE orders (id integer PRIMARY KEY, note text)")
    sqlite.insert("orders", ("id", "note"), [(n, f"note {n}") for n in range(1, 51)])
    before = archive_table(sqlite, "orders", tmp_path / "archive")
    sqlite.execute("DELETE FROM orders")
    recipe = tmp_path / "back.toml"
    job = f'verb = "restore"\ndestination = "{tmp_path / "archive"}"\n'
    recipe.write_text(f'[job.back]\n{job}where = "id > 10"\n[job.rest]\n{job}on-conflict = "skip"\nneeds = ["back"]\n')
    done = batchops("run", recipe, "-y", "--json", env={"BATCHOPS_URL": sqlite.url})
    assert done.code == 0, done.err
    assert [(job["reason"], job["rows"]) for job in done.json()["jobs"]] == [("done", 40), ("done", 10)]
    assert described(sqlite, "orders")[1] == before
    listed = batchops("runs", "--json", env={"BATCHOPS_URL": sqlite.url}).json()["runs"]
    assert [(run["verb"], run["state"]) for run in listed] == [("restore", "done")] * 2
    shown = batchops("show", "1", env={"BATCHOPS_URL": sqlite.url})
    assert (shown.code, "restore orders" in shown.out) == (0, True)


def test_verify_names_rows_that_are_in_the_table_too(orders: Database, tmp_path: Path, batchops: Batchops) -> None:
    archive_table(orders, "orders", tmp_path)
    orders.execute("DELETE FROM orders WHERE id NOT IN (5, 6, 2100)")
    orders.execute("UPDATE orders SET note = 'NOTE 6' WHERE id = 6")
    orders.insert("orders", ("id", "kind", "note"), [(9_999, 1, "new")])
    command = ("archive", "verify", tmp_path, "--against", "env:HERE")
    found = batchops(*command, "--json", env={"HERE": orders.url})
    assert found.code == 3, found.err
    (both,) = found.json()["against"]
    assert (both["rows"], both["same"], both["other"]) == (ROWS, 2, 1)
    assert ({*both["same_rows"]}, both["other_rows"]) == ({"id=5", "id=2100"}, ["id=6"])
    told = batchops(*command, env={"HERE": orders.url}).out
    named = "; ".join(both["same_rows"])
    assert f"double    orders: 2 rows in the table too, as they were archived: {named}" in told
    assert "double    orders: 1 row in the table too, with other content: id=6" in told
    orders.execute("DELETE FROM orders WHERE id < 9000")
    apart = batchops(*command, env={"HERE": orders.url})
    assert (apart.code, f"none of {ROWS:,} rows is in the table" in apart.out) == (0, True)
    orders.execute("DROP TABLE orders")
    assert batchops(*command, env={"HERE": orders.url}).code == 3


def test_a_key_that_is_only_equal_gets_the_archived_text(new_database: NewDatabase, tmp_path: Path) -> None:
    for name, type_ in (("sqlite", "text COLLATE NOCASE"), ("mariadb", "varchar(9) COLLATE utf8mb4_general_ci")):
        database, root = new_database(name), tmp_path / name
        database.script(f"CREATE TABLE t (k {type_} NOT NULL PRIMARY KEY, v integer)")
        database.insert("t", ("k", "v"), [("a", 1), ("b", 2)])
        before = archive_table(database, "t", root)
        database.execute("DELETE FROM t")
        database.insert("t", ("k", "v"), [("A", 3)])
        done = library.restore(destination=root, on_conflict="replace", url=database.url)
        assert (done.reason, done.rows) == ("done", 2)
        assert described(database, "t")[1] == before


def test_a_column_that_takes_no_other_value_is_refused_before_rows_are_replaced(
    postgresql: Database, tmp_path: Path
) -> None:
    """PostgreSQL lets no UPDATE set it, which the run would take for an altered table."""
    postgresql.script("CREATE TABLE t (k text PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, v int)")
    postgresql.script("INSERT INTO t (k, v) VALUES ('a', 1), ('b', 2)")
    before = archive_table(postgresql, "t", tmp_path)
    with pytest.raises(RefusedError, match="takes no other value of n"):
        library.restore(destination=tmp_path, on_conflict="replace", url=postgresql.url)
    postgresql.script("ALTER TABLE t ALTER n SET GENERATED BY DEFAULT; UPDATE t SET n = 9, v = 9 WHERE k = 'a'")
    assert library.restore(destination=tmp_path, on_conflict="replace", url=postgresql.url).rows == 2
    assert described(postgresql, "t")[1] == before
