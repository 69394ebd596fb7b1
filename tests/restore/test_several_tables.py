"""restore of all tables that an archive holds: parents first, in one run, continued and repeated as of one table."""

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import batchops as library
from batchops.errors import RefusedError, UsageError
from tests.bulk.children import shop
from tests.bulk.children.oracle import Rows, read
from tests.bulk.children.test_applications import CHINOOK, SAKILA
from tests.bulk.children.test_graph import make
from tests.bulk.children.test_samples import fill
from tests.command import Batchops, here
from tests.conftest import NewDatabase
from tests.crash.test_kills import unfinished, wait_for_progress
from tests.restore.rows import archive_table, described
from tests.services.database import Database

pytestmark = pytest.mark.in_turn
ALL_EDGES = ["visits.customer_id = delete"]


def archived_shop(database: Database, folder: Path, customers: int = 10, **more: Any) -> Rows:
    """Every second customer with all that hangs on it; the rows that there were before."""
    shop.make(database, customers=customers)
    before = shop.seen(database)
    options = {"to": f"{folder}/", "format": "jsonl", "edge": ALL_EDGES} | more
    finished = library.archive(**shop.job(database, **options))
    assert (finished.reason, finished.rows) == ("done", customers if "where" in more else customers // 2)
    return before


@pytest.mark.wide(1)
def test_all_rows_are_back(database: Database, tmp_path: Path) -> None:
    before = archived_shop(database, tmp_path)
    gone = {table: len(rows) - len(shop.seen(database)[table]) for table, rows in before.items()}
    finished = library.restore(destination=tmp_path, url=database.url, batch_size=30)
    assert (finished.reason, finished.rows, finished.table) == ("done", sum(gone.values()), "customers and 4 others")
    assert finished.families is not None
    assert dict(finished.families.tables) == gone
    assert shop.seen(database) == before
    again = library.restore(destination=tmp_path, url=database.url)
    assert again.reason == "already-done"


def test_references_of_rows_that_stayed_are_set_again(sqlite: Database, tmp_path: Path) -> None:
    """But for those that others have set meanwhile, and rows that are gone."""
    before = archived_shop(sqlite, tmp_path, edge=[])
    plan = here("restore", tmp_path, "--url", sqlite.url, "-n")
    assert "5 references of visits that the archive set to NULL" in plan.out
    assert library.restore(destination=tmp_path, table="customers", url=sqlite.url).rows == 5
    sqlite.execute("UPDATE visits SET customer_id = 2 WHERE id = 1")
    sqlite.execute("DELETE FROM visits WHERE id = 3")
    done = library.restore(destination=tmp_path, url=sqlite.url, on_conflict="skip")
    assert done.reason == "done", done
    after = [row | ({"customer_id": 2} if row["id"] == 1 else {}) for row in before["visits"] if row["id"] != 3]
    assert shop.seen(sqlite) == before | {"visits": after}


@pytest.mark.full
@pytest.mark.parametrize(
    ("tables", "root", "key"),
    [(CHINOOK, "artist", "artist_id"), (CHINOOK, "customer", "customer_id"), (SAKILA, "customer", "customer_id"),
     (SAKILA, "country", "country_id")],
)  # fmt: skip
def test_samples(database: Database, tmp_path: Path, tables: str, root: str, key: str) -> None:
    """Chinook and Sakila, row for row."""
    make(database, tables)
    columns, _ = fill(database)
    before = read(database, columns)
    finished = library.archive(
        url=database.url, table=root, where=f"{key} % 3 = 0", with_children=True, batch_size=20, allow=["fk-index"],
        to=f"{tmp_path}/", format="jsonl",
    )  # fmt: skip
    assert finished.reason == "done", finished
    assert read(database, columns) != before
    restored = library.restore(destination=tmp_path, url=database.url)
    assert restored.reason == "done", restored
    assert read(database, columns) == before


def test_of_one_table_of_one_run_and_of_what_came_since(sqlite: Database, tmp_path: Path) -> None:
    before = archived_shop(sqlite, tmp_path)
    assert library.restore(destination=tmp_path, table="customers", url=sqlite.url).rows == 5
    assert shop.seen(sqlite)["customers"] == before["customers"]
    with pytest.raises(UsageError, match="--where is for one table"):
        library.restore(destination=tmp_path, where="id = 1", url=sqlite.url)
    with pytest.raises(UsageError, match="--into is for one table"):
        library.restore(destination=tmp_path, into="other", url=sqlite.url)
    rest = library.restore(destination=tmp_path, url=sqlite.url, on_conflict="skip", of_run=1)
    assert (rest.reason, rest.restored.skipped if rest.restored else 0) == ("done", 5), rest
    assert shop.seen(sqlite) == before
    more = {"to": f"{tmp_path}/", "format": "jsonl", "edge": ALL_EDGES, "where": "id = 2"}
    library.archive(**shop.job(sqlite, **more))
    since = library.restore(destination=tmp_path, url=sqlite.url, on_conflict="skip")
    assert since.reason == "done", since
    assert shop.seen(sqlite) == before
    library.archive(**shop.job(sqlite, **more | {"where": "id = 4"}))
    last = library.restore(destination=tmp_path, url=sqlite.url)
    assert (last.reason, last.restored.skipped if last.restored else None) == ("done", 0), last
    assert shop.seen(sqlite) == before


def test_into_a_database_that_has_no_such_tables(sqlite: Database, new_database: NewDatabase, tmp_path: Path) -> None:
    before = archived_shop(sqlite, tmp_path, where="id > 0 AND gone >= 0", customers=4)
    other = new_database("postgresql")
    restored = library.restore(destination=tmp_path, url=other.url)
    assert restored.reason == "done", restored
    gone = {table: [row for row in rows if row not in shop.seen(sqlite)[table]] for table, rows in before.items()}
    assert shop.seen(other) == gone


def test_a_row_whose_parent_is_missing_is_named(sqlite: Database, tmp_path: Path) -> None:
    archived_shop(sqlite, tmp_path)
    orders = library.restore(destination=tmp_path, table="orders", url=sqlite.url)
    assert (orders.reason, orders.rows, orders.rejected) == ("incomplete", 0, 20), orders


def circle(database: Database) -> None:
    """Rows of two tables that refer to each other, each to the next of the other one."""
    database.script("CREATE TABLE a (id integer PRIMARY KEY, b_id integer, note varchar(20))")
    database.script("CREATE TABLE b (id integer PRIMARY KEY, a_id integer NOT NULL REFERENCES a (id))")
    database.insert("a", ("id", "b_id", "note"), [(n, None, f"n{n}") for n in range(100)])
    database.insert("b", ("id", "a_id"), [(n, n) for n in range(100)])
    database.execute("UPDATE a SET b_id = id + 1 WHERE id < 99")
    database.script("ALTER TABLE a ADD FOREIGN KEY (b_id) REFERENCES b (id)")


@pytest.mark.wide(1)
@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_a_circle_of_tables_is_closed_at_the_end(name: str, new_database: NewDatabase, tmp_path: Path) -> None:
    """What could refer to nothing yet is NULL until all rows are there."""
    database, columns = new_database(name), {"a": ("id", "b_id", "note"), "b": ("id", "a_id")}
    circle(database)
    before = read(database, columns)
    job = {"url": database.url, "table": "a", "with_children": True, "to": f"{tmp_path}/", "format": "jsonl"}
    archived = library.archive(**job, where="id = 50", edge=["a.b_id = delete"], allow=["fk-index"])
    assert archived.reason == "done", archived
    assert database.scalar("SELECT count(*) FROM a") < 100
    plan = here("restore", tmp_path, "--url", database.url, "-n")
    assert "b_id: NULL until the rows of all tables are there" in plan.out
    restored = library.restore(destination=tmp_path, url=database.url, batch_size=7)
    assert restored.reason == "done", restored
    assert read(database, columns) == before
    database.execute("UPDATE a SET b_id = NULL, note = 'other' WHERE id = 7")
    database.execute("UPDATE a SET b_id = NULL WHERE id = 8")
    repaired = library.restore(destination=tmp_path, url=database.url, restart=True, on_conflict="skip")
    assert (repaired.reason, repaired.rows) == ("done", 0), repaired
    assert database.column("SELECT id FROM a WHERE b_id IS NULL ORDER BY id") == [7, 99]


def test_a_circle_of_keys_that_are_empty_texts(database: Database, tmp_path: Path) -> None:
    text, forward = "varchar(9)", "REFERENCES q (id)"
    database.script(f"CREATE TABLE p (id {text} PRIMARY KEY, q {text} {forward * (database.backend == 'sqlite')})")
    database.script(f"CREATE TABLE q (id {text} PRIMARY KEY, p {text}, FOREIGN KEY (p) REFERENCES p (id))")
    if database.backend != "sqlite":
        database.script(f"ALTER TABLE p ADD FOREIGN KEY (q) {forward}")
    database.insert("p", ("id", "q"), [("", None)])
    database.insert("q", ("id", "p"), [("", "")])
    database.execute("UPDATE p SET q = ''")
    before = [archive_table(database, table, tmp_path, run=run) for run, table in enumerate("pq", 1)]
    database.script("UPDATE p SET q = NULL; DELETE FROM q; DELETE FROM p")
    done = library.restore(destination=tmp_path, url=database.url)
    assert (done.reason, done.rows) == ("done", 2), done
    assert [described(database, table)[1] for table in "pq"] == before


def test_a_circle_that_nothing_breaks_is_refused(new_database: NewDatabase, tmp_path: Path) -> None:
    database = new_database("postgresql")
    circle(database)
    library.archive(
        url=database.url, table="a", all_rows=True, with_children=True, to=f"{tmp_path}/", format="jsonl",
        allow=["fk-index"],
    )  # fmt: skip
    database.script("DROP TABLE b, a")
    database.script("CREATE TABLE a (id integer PRIMARY KEY, b_id integer NOT NULL, note varchar(20))")
    database.script("CREATE TABLE b (id integer PRIMARY KEY, a_id integer NOT NULL REFERENCES a (id))")
    database.script("ALTER TABLE a ADD FOREIGN KEY (b_id) REFERENCES b (id)")
    with pytest.raises(RefusedError, match="a, b refer to each other in a circle"):
        library.restore(destination=tmp_path, url=database.url)
    assert database.scalar("SELECT count(*) FROM a") == 0


def test_a_changed_file_of_a_child_is_noticed(sqlite: Database, tmp_path: Path) -> None:
    archived_shop(sqlite, tmp_path)
    assert here("archive", "verify", tmp_path, "--against", sqlite.url).code == 0
    (file,) = (tmp_path / "reviews").rglob("*.jsonl.zst")
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    verified = here("archive", "verify", tmp_path)
    assert (verified.code, "reviews/run-000001" in verified.out) == (13, True), verified
    restored = here("restore", tmp_path, "--url", sqlite.url, "-y", "--json")
    assert restored.code == 13, restored
    file.write_bytes(content)
    assert here("restore", tmp_path, "--url", sqlite.url, "-y").code == 0
    doubled = here("archive", "verify", tmp_path, "--against", sqlite.url)
    assert (doubled.code, doubled.out.count("double")) == (3, 5), doubled


def test_killed_and_continued(batchops: Batchops, postgresql: Database, tmp_path: Path) -> None:
    before, chance, met = archived_shop(postgresql, tmp_path, customers=60), random.Random(4713), 0
    command = ("restore", tmp_path, "--url", postgresql.url, "-y")
    for _ in range(4):
        process = batchops.start(*map(str, command), "-q", "--batch-size", "20", "--sleep", "20ms")
        wait_for_progress(process, postgresql)
        time.sleep(chance.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        met += unfinished(postgresql)
    assert met >= 2
    done = batchops(*command, "--json")
    assert done.code == 0, done
    assert shop.seen(postgresql) == before
    assert done.out, done
    assert done.json()["rows"] == sum(done.json()["tables"].values())


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_new_tables_are_filled_once(name: str, new_database: NewDatabase, tmp_path: Path) -> None:
    """A run that is continued found its own tables in another order, took them for others, and began anew."""
    database = new_database(name)
    database.script("""
        CREATE TABLE tickets (id integer PRIMARY KEY);
        CREATE TABLE links (ticket integer NOT NULL, FOREIGN KEY (ticket) REFERENCES tickets (id) ON DELETE CASCADE);
        CREATE TABLE notes (id integer PRIMARY KEY, ticket integer, FOREIGN KEY (ticket) REFERENCES tickets (id));
        CREATE INDEX links_ticket ON links (ticket);
        CREATE INDEX notes_ticket ON notes (ticket);
        INSERT INTO tickets VALUES (1), (2), (3), (4), (5);
        INSERT INTO links VALUES (1), (2), (3);
    """)
    other = new_database(name)
    more = {"url": database.url, "table": "tickets", "with_children": True, "to": f"{tmp_path}/", "format": "jsonl"}
    library.archive(**more, where="id < 4")
    assert "  create SQL CREATE TABLE" in here("restore", tmp_path, "--url", other.url, "-n").out
    some = library.restore(destination=tmp_path, url=other.url, batch_size=2, max_rows=4)
    assert (some.reason, some.rows) == ("max-rows", 4)
    rest = library.restore(destination=tmp_path, url=other.url, batch_size=2)
    assert (rest.reason, rest.rows, rest.table) == ("done", 6, some.table), rest
    database.execute("INSERT INTO notes VALUES (7, 4)")
    library.archive(**more, where="id = 4")  # a table that the archive did not have
    last = library.restore(destination=tmp_path, url=other.url)
    assert (last.reason, last.rows) == ("done", 2), last
    assert other.column("SELECT id FROM tickets ORDER BY id") == [1, 2, 3, 4]
    assert other.column("SELECT ticket FROM links ORDER BY ticket") == [1, 2, 3]
    assert other.rows("SELECT id, ticket FROM notes") == [(7, 4)]
