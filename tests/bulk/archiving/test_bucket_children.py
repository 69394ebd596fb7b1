"""Rows of several tables go to a bucket, family by family: each whole and as it was uploaded, or not at all."""

import re
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import batchops as library
from batchops.events import Finished
from tests.bulk.archiving.bucket import Bucket
from tests.bulk.archiving.test_bucket import DELETED, SIDECAR, at_each
from tests.bulk.archiving.test_children import compared_with
from tests.bulk.children import shop
from tests.bulk.children.generated import draw
from tests.bulk.children.oracle import read
from tests.bulk.children.test_writers import adds, beside, noted, turns
from tests.bulk.plan.situations import ALL, numbers
from tests.command import Batchops, here
from tests.conftest import NewDatabase
from tests.services.database import Database
from tests.services.http_proxy import Answer, HttpProxy, Request, refusal
from tests.services.proxy import Mode, Proxy
from tests.services.s3 import new_bucket
from tests.services.server import Server
from tests.waiting import ended, until

pytestmark = pytest.mark.in_turn
FULL = pytest.mark.full


@pytest.fixture
def bucket(service: Callable[[str], Server]) -> Iterator[Bucket]:
    store = service("s3")
    with HttpProxy(store.url) as proxy:
        yield Bucket(new_bucket(store), proxy)


def archive(database: Database, bucket: Bucket, **more: Any) -> Finished:
    """Of the shop."""
    with bucket.reached():
        return library.archive(**shop.job(database, to=bucket.url, **({"format": "jsonl"} | more)))


@pytest.mark.wide(2)
@pytest.mark.parametrize("format", ["jsonl", pytest.param("parquet", marks=FULL), pytest.param("csv", marks=FULL)])
def test_rows_of_all_tables_go_and_come_back(database: Database, bucket: Bucket, format: str) -> None:
    shop.make(database, customers=40)
    before = shop.seen(database)
    finished = archive(database, bucket, format=format, workers=2)
    assert (finished.reason, finished.rows) == ("done", 20), finished
    compared_with(
        before, database, bucket.texts(), bucket.texts(nulled=True), "customers", shop.EDGES,
        lambda row: row["gone"] == 1,
    )  # fmt: skip
    with bucket.reached():
        verified = here("archive", "verify", bucket.url, "--against", database.url)
        assert verified.code == 0, verified
        restored = library.restore(destination=bucket.url, url=database.url, batch_size=20)
        assert restored.reason == "done", restored
    assert shop.seen(database) == before


def gone(row: dict[str, Any]) -> bool:
    return bool(row["gone"] == 1)


def once(*statements: str, database: Database) -> Callable[[Request], None]:
    """Other sessions' changes, as the first record of a segment is uploaded. They wait for no lock."""
    left = [*statements]

    def change(_: Request) -> None:
        while left:
            database.execute(left.pop(0))

    return change


def test_families_that_change_during_their_upload(database: Database, bucket: Bucket) -> None:
    """A child, a grandchild and a parent are changed, a child is new, one is gone, and one parent does not match."""
    shop.make(database, customers=20)
    family = shop.seen(database)
    orders = {row["id"]: row["customer_id"] for row in family["orders"]}
    items = {
        customer: next(row["id"] for row in family["items"] if orders[row["order_id"]] == customer)
        for customer in (3, 11)
    }
    change = once(
        "INSERT INTO orders VALUES (1001, 5)", "INSERT INTO items VALUES (1001, 1001)",
        f"UPDATE reviews SET customer_id = 20 WHERE item_id = {items[3]}",
        f"DELETE FROM reviews WHERE item_id = {items[11]}", "UPDATE customers SET state = 'new' WHERE id = 9",
        "UPDATE customers SET gone = 0 WHERE id = 7", "INSERT INTO visits VALUES (1001, 15)", database=database,
    )  # fmt: skip
    at_each(bucket, "PUT", SIDECAR, change)
    finished = archive(database, bucket)
    assert (finished.reason, finished.rows, finished.rejected) == ("done", 9, 0), finished
    now = {"id": 7, "gone": 0, "state": "open"}
    assert now in shop.seen(database)["customers"]
    archived, nulled = bucket.texts(), bucket.texts(nulled=True)
    there = shop.seen(database)
    assert not shop.lost(database)
    assert not set(numbered(archived["customers"])) & {row["id"] for row in there["customers"]}
    assert {"id": "9", "gone": "1", "state": "new"} in archived["customers"]
    assert 1001 in numbered(archived["orders"])
    assert "1001" in [row["id"] for row in nulled["visits"]]
    for table in shop.TABLES:
        every = numbered(archived.get(table, [])) + [row["id"] for row in there[table]]
        assert len(every) == len(set(every)), table
        lost = {row["id"] for row in family[table]} - set(every)
        assert lost <= ({items[11]} if table == "reviews" else set()), table
    assert shop.wanted(there, gone) == there  # what matches is gone, and of what stays every row is there
    with bucket.reached():
        assert here("archive", "verify", bucket.url, "--against", database.url).code == 0


def numbered(rows: list[dict[str, str | None]]) -> list[int]:
    return [int(row["id"] or 0) for row in rows]


@pytest.mark.full
def test_a_family_that_changes_at_each_upload_stays_whole(database: Database, bucket: Bucket) -> None:
    shop.make(database, customers=10)
    before = shop.seen(database)
    state = [0]

    def change(_: Request) -> None:
        state[0] += 1
        database.execute(f"UPDATE customers SET state = 's{state[0]}' WHERE id = 5")

    at_each(bucket, "PUT", SIDECAR, change)
    finished = archive(database, bucket)
    assert (finished.reason, finished.exit, finished.rows, finished.rejected) == ("incomplete", 3, 4, 1), finished
    bucket.proxy.treat = lambda _: None
    database.execute("UPDATE customers SET state = 'open' WHERE id = 5")
    compared_with(
        before, database, bucket.texts(), bucket.texts(nulled=True), "customers", shop.EDGES,
        lambda row: gone(row) and row["id"] != 5,
    )  # fmt: skip
    again = archive(database, bucket)
    assert (again.reason, again.rows) == ("done", 1), again
    compared_with(
        before, database, bucket.texts(), bucket.texts(nulled=True), "customers", shop.EDGES, gone,
    )  # fmt: skip


def test_a_family_that_the_database_keeps(database: Database, bucket: Bucket) -> None:
    """A table that is left alone refers to one of its items."""
    shop.make(database, customers=10)
    before = shop.seen(database)
    kept = next(row["id"] for row in before["customers"] if gone(row))
    item = next(
        row["id"] for row in before["items"]
        if {order["id"]: order["customer_id"] for order in before["orders"]}[row["order_id"]] == kept
    )  # fmt: skip
    database.script("CREATE TABLE claims (id integer NOT NULL PRIMARY KEY, item_id integer NOT NULL, "
                    "FOREIGN KEY (item_id) REFERENCES items (id)); CREATE INDEX c_i ON claims (item_id)")  # fmt: skip
    database.execute(f"INSERT INTO claims VALUES (1, {item})")
    finished = archive(database, bucket, stop_at=["claims"])
    assert (finished.reason, finished.rows, finished.rejected) == ("incomplete", 4, 1), finished
    (cause,) = finished.rejected_causes
    assert "--stop-at keeps rows of claims" in cause.reason, cause
    assert cause.names == (f"id={kept}",)
    compared_with(
        before, database, bucket.texts(), bucket.texts(nulled=True), "customers", shop.EDGES,
        lambda row: gone(row) and row["id"] != kept,
    )  # fmt: skip


@pytest.mark.wide(1)
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", range(3))
def test_drawn_graphs(name: str, new_database: NewDatabase, bucket: Bucket, seed: int) -> None:
    archived_graph(name, new_database, bucket, seed, size=(400, None, 1000)[seed % 3])


@pytest.mark.full
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", range(3, 20))
def test_more_graphs(name: str, new_database: NewDatabase, bucket: Bucket, seed: int) -> None:
    archived_graph(name, new_database, bucket, seed, size=(400, None, 1000)[seed % 3])


def archived_graph(name: str, new_database: NewDatabase, bucket: Bucket, seed: int, size: int | None) -> None:
    """A graph drawn at random, with circles and references of tables to themselves."""
    drawn, database = draw(seed, tables=8, rows=30), new_database(name)
    drawn.make(database)
    before = read(database, drawn.tables)
    more = {} if size is None else {"batch_size": size}
    with bucket.reached():
        finished = library.archive(
            url=database.url, table="t0", where="gone = 1", with_children=True, allow=["fk-index"],
            to=bucket.url, format="jsonl", **more,
        )  # fmt: skip
        assert finished.reason == "done", finished
        compared_with(
            before, database, bucket.texts(), bucket.texts(nulled=True), "t0", drawn.edges, gone,
        )  # fmt: skip
        restored = library.restore(destination=bucket.url, url=database.url)
    assert restored.reason == "done", restored
    assert read(database, drawn.tables) == before


def test_a_family_larger_than_a_batch(database: Database, bucket: Bucket) -> None:
    """It goes whole or not at all: at the size that the user fixed it stays, else a larger batch takes it."""
    shop.make(database, customers=10)
    shop.add_items(database, order=2, count=1_500)
    before = shop.seen(database)
    finished = archive(database, bucket, batch_size=100)
    assert (finished.reason, finished.rows, finished.rejected) == ("incomplete", 4, 1), finished
    (cause,) = finished.rejected_causes
    assert "all rows that refer to it" in cause.reason
    assert "raise --batch-size" in cause.reason
    finished = archive(database, bucket)
    assert (finished.reason, finished.rows) == ("done", 1), finished
    compared_with(before, database, bucket.texts(), bucket.texts(nulled=True), "customers", shop.EDGES, gone)


@pytest.mark.full
def test_limits(sqlite: Database, bucket: Bucket) -> None:
    shop.make(sqlite, customers=40)
    before = shop.seen(sqlite)
    few = archive(sqlite, bucket, max_rows=7)
    assert (few.reason, few.rows) == ("max-rows", 7), few
    total = archive(sqlite, bucket, max_total=300)
    assert (total.reason, total.rows > 0, total.rejected) == ("max-total", True, 0), total
    batches = archive(sqlite, bucket, max_batches=1, batch_size=100)
    assert (batches.reason, batches.rows > 0) == ("max-batches", True), batches
    rest = archive(sqlite, bucket)
    assert (rest.reason, few.rows + total.rows + batches.rows + rest.rows) == ("done", 20), rest
    compared_with(before, sqlite, bucket.texts(), bucket.texts(nulled=True), "customers", shop.EDGES, gone)


def test_a_store_that_fails_for_a_while(sqlite: Database, bucket: Bucket) -> None:
    shop.make(sqlite, customers=10)
    before, failures = shop.seen(sqlite), [6]

    def fail(_: Request) -> Answer | None:
        failures[0] -= 1
        return refusal(503, "SlowDown") if failures[0] >= 0 else None

    at_each(bucket, "PUT", re.compile("/run-"), fail)
    finished = archive(sqlite, bucket)
    assert (finished.reason, finished.rows) == ("done", 5), finished
    compared_with(before, sqlite, bucket.texts(), bucket.texts(nulled=True), "customers", shop.EDGES, gone)


def test_rows_that_lose_their_reference_and_match_then(database: Database, bucket: Bucket) -> None:
    """The condition names a column that the run sets to NULL: it is evaluated once, at the start."""
    database.script("CREATE TABLE p (id integer NOT NULL PRIMARY KEY, up integer, "
                    "FOREIGN KEY (up) REFERENCES p (id) ON DELETE SET NULL); CREATE INDEX p_up ON p (up)")  # fmt: skip
    database.execute(f"INSERT INTO p SELECT i, CASE WHEN i > 10 THEN i - 10 END FROM {numbers(database, 100)}")
    with bucket.reached():
        done = library.archive(
            url=database.url, table="p", where="up IS NULL OR id = 15", with_children=True, to=bucket.url,
            format="jsonl", batch_size=3,
        )  # fmt: skip
    assert (done.reason, done.rows) == ("done", 11), done
    assert sorted(numbered(bucket.texts()["p"])) == [*range(1, 11), 15]
    assert database.scalar("SELECT count(*) FROM p") == 89


@pytest.mark.full
def test_writers_all_the_while(database: Database, bucket: Bucket) -> None:
    """Whatever was in a table at any time is in it or in the archive, once."""
    customers = 30
    shop.make(database, customers)
    every = {table: {row["id"] for row in rows} for table, rows in shop.seen(database).items()}
    adding, added = noted(adds(database, customers))
    with beside(adding, turns(database, customers)):
        until(lambda: len(added["orders"]) > 1)
        for _ in range(2):
            finished = archive(database, bucket, batch_size=200, retry_timeout="60s", workers=3)
            assert finished.reason in ("done", "incomplete"), finished
    archived, there = bucket.texts(), shop.seen(database)
    assert not shop.lost(database)
    for table in every:
        found = [row["id"] for row in there[table]] + numbered(archived.get(table, []))
        assert sorted(found) == sorted([*every[table], *added.get(table, [])]), table
    with bucket.reached():
        assert here("archive", "verify", bucket.url).code == 0


@pytest.mark.full
def test_a_child_that_is_locked(new_database: NewDatabase, bucket: Bucket) -> None:
    """Its family is visited again, and left at last, whether it is locked as it is copied or as it is deleted."""
    database = new_database("postgresql")
    shop.make(database, customers=20)
    before = shop.seen(database)
    with database.engine.connect() as connection:

        def lock(_: Request) -> None:
            if not connection.in_transaction():
                connection.exec_driver_sql("SELECT * FROM orders WHERE id = 4 FOR UPDATE")

        with database.engine.begin() as other:
            other.exec_driver_sql("SELECT * FROM orders WHERE id = 2 FOR UPDATE")
            at_each(bucket, "PUT", SIDECAR, lock)
            finished = archive(database, bucket, lock_timeout="200ms")
        bucket.proxy.treat = lambda _: None
    assert (finished.reason, finished.rows, finished.locked) == ("incomplete", 8, 2), finished
    compared_with(
        before, database, bucket.texts(), bucket.texts(nulled=True), "customers", shop.EDGES,
        lambda row: gone(row) and row["id"] not in (3, 5),
    )  # fmt: skip
    again = archive(database, bucket)
    assert (again.reason, again.rows) == ("done", 2), again
    compared_with(before, database, bucket.texts(), bucket.texts(nulled=True), "customers", shop.EDGES, gone)


@pytest.mark.parametrize("size", [1_000, pytest.param(30, marks=FULL)])
def test_a_refusal_that_comes_with_commit(new_database: NewDatabase, bucket: Bucket, size: int) -> None:
    """The copy is rolled back, so that only the deletion meets it. COMMIT names nobody."""
    database = new_database("postgresql")
    shop.make(database, customers=20)
    database.script(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE foreign_key_violation USING MESSAGE = 'violates \"late_key\"'; END $$;"
        "CREATE CONSTRAINT TRIGGER no AFTER DELETE ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
        " WHEN (OLD.id = 2) EXECUTE FUNCTION no()"
    )
    before = shop.seen(database)
    finished = archive(database, bucket, allow=["triggers"], batch_size=max(size, 60))
    assert (finished.reason, finished.rows, finished.rejected) == ("incomplete", 9, 1), finished
    assert [(cause.reason, cause.names) for cause in finished.rejected_causes] == [('violates "late_key"', ("id=3",))]
    compared_with(
        before, database, bucket.texts(), bucket.texts(nulled=True), "customers", shop.EDGES,
        lambda row: gone(row) and row["id"] != 3,
    )  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
@pytest.mark.parametrize("mode", ["cut_after", "cut_before"])
def test_every_third_commit_is_cut(name: str, new_database: NewDatabase, bucket: Bucket, mode: Mode) -> None:
    """What the ledger says of the rows in the bucket is what became of them."""
    served = new_database(name)
    shop.make(served, customers=60)
    before = shop.seen(served)
    with Proxy(served.url, mode, every=3, of="delete from") as proxy, bucket.reached():
        words = ("--where", shop.GONE, "--with-children", "--to", bucket.url, "--url", proxy.url, "-y")
        done = here("archive", "customers", *words, "--format", "jsonl", "--batch-size", "100", "--json")
        assert proxy.cut >= 2
    assert (done.code, done.json()["rows"]) == (0, 30), done
    compared_with(before, served, bucket.texts(), bucket.texts(nulled=True), "customers", shop.EDGES, gone)
    with bucket.reached():
        assert here("archive", "verify", bucket.url, "--against", served.url).code == 0


@pytest.mark.parametrize("name", [SIDECAR, DELETED], ids=["before-the-deletes", "behind-them"])
def test_a_process_stopped_past_its_lease_says_nothing_once_it_wakes_up(
    new_database: NewDatabase, bucket: Bucket, batchops: Batchops, name: re.Pattern[str]
) -> None:  # fmt: skip
    database = new_database("postgresql")
    shop.make(database, customers=20)
    before = shop.seen(database)
    held, go, first = threading.Event(), threading.Event(), threading.Lock()

    def hold(_: Request) -> None:
        if first.acquire(blocking=False):
            held.set()
            go.wait(60)

    at_each(bucket, "PUT", name, hold)
    words = ("archive", "customers", "--where", shop.GONE, "--with-children", "--to", bucket.url, "-y", "--lease", "1s")
    words = (*words, "--url", database.url, "--format", "jsonl")
    asleep = batchops.start(*words, env=bucket.env)
    assert held.wait(60)
    asleep.send_signal(signal.SIGSTOP)
    until(lambda: batchops(*words, env=bucket.env).code != 11)
    go.set()
    asleep.send_signal(signal.SIGCONT)
    assert ended(asleep)[0] == 11
    compared_with(before, database, bucket.texts(), bucket.texts(nulled=True), "customers", shop.EDGES, gone)
    with bucket.reached():
        assert here("archive", "verify", bucket.url, "--against", database.url).code == 0


def test_a_value_that_a_file_cannot_hold_keeps_its_family(new_database: NewDatabase, bucket: Bucket) -> None:
    database = new_database("postgresql")
    shop.make(database, customers=10)
    before = shop.seen(database)
    database.execute("ALTER TABLE items ADD COLUMN at timestamp DEFAULT '2024-01-01'")
    database.execute("UPDATE items SET at = 'infinity' WHERE order_id = 2")
    finished = archive(database, bucket, format="parquet")
    assert (finished.reason, finished.rows, finished.rejected) == ("incomplete", 4, 1), finished
    (cause,) = finished.rejected_causes
    assert ("items.at: " in cause.reason, cause.names) == (True, ("id=3",))
    assert shop.seen(database) == shop.wanted(before, lambda row: gone(row) and row["id"] != 3)


def test_a_column_that_is_added_during_the_upload(new_database: NewDatabase, bucket: Bucket) -> None:
    database = new_database("postgresql")
    shop.make(database, customers=10)
    before = shop.seen(database)
    at_each(bucket, "PUT", SIDECAR, once("ALTER TABLE items ADD COLUMN more integer", database=database))
    finished = archive(database, bucket)
    assert (finished.reason, finished.exit, finished.rows) == ("integrity", 13, 0), finished
    assert shop.seen(database) == before
    done = archive(database, bucket, restart=True)
    assert (done.reason, done.rows) == ("done", 5), done


def test_few_of_many_families_change_at_each_upload(sqlite: Database, bucket: Bucket) -> None:
    """All others go, and the bucket's records tell which."""
    sqlite.script("CREATE TABLE p (id integer NOT NULL PRIMARY KEY);"
                  "CREATE TABLE k (id integer NOT NULL PRIMARY KEY, p integer NOT NULL REFERENCES p (id), n integer);"
                  "CREATE INDEX k_p ON k (p)")  # fmt: skip
    sqlite.execute(f"INSERT INTO p SELECT i FROM {numbers(sqlite, 2_000)}")
    sqlite.execute(f"INSERT INTO k SELECT i, i, 0 FROM {numbers(sqlite, 2_000)}")

    def change(_: Request) -> None:
        sqlite.execute("UPDATE k SET n = n + 1 WHERE id IN (700, 701, 1500)")

    at_each(bucket, "PUT", SIDECAR, change)
    with bucket.reached():
        done = library.archive(
            url=sqlite.url, table="p", all_rows=True, with_children=True, to=bucket.url, format="jsonl",
            batch_size=300,
        )  # fmt: skip
    assert (done.reason, done.rows, done.rejected) == ("incomplete", 1_997, 3), done
    assert sorted(sqlite.column("SELECT id FROM p")) == sorted(sqlite.column("SELECT p FROM k")) == [700, 701, 1500]
    archived = bucket.texts()
    assert sorted(numbered(archived["p"])) == sorted(set(range(1, 2_001)) - {700, 701, 1500})
    assert sorted(numbered(archived["k"])) == sorted(numbered(archived["p"]))
    with bucket.reached():
        assert here("archive", "verify", bucket.url, "--against", sqlite.url).code == 0
