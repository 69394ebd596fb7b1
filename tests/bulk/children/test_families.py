"""Families in one transaction, and in several where one is too large: bounds, what is begun, and what is partial."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import batchops as library
from batchops.events import Committed
from tests.bulk.children import shop
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.services.database import Database

pytestmark = pytest.mark.in_turn
SIZE = 50


class Batches:
    """How many rows each transaction changed; `then` is called after each, outside of any."""

    def __init__(self, then: Callable[[int], None] = lambda _: None) -> None:
        self.rows: list[int] = []
        self._then = then

    def __call__(self, event: object) -> None:
        if isinstance(event, Committed):
            self.rows.append(sum(event.tables.values()))
            self._then(len(self.rows))


def test_several_families_in_one_transaction(database: Database) -> None:
    """No transaction changes more rows than a batch may, counted over all tables, and few change much less."""
    shop.make(database)
    before, batches = shop.seen(database), Batches()
    finished = library.purge(**shop.job(database, batch_size=200), on_event=batches)
    assert shop.seen(database) == shop.wanted(before)
    assert (finished.reason, finished.rows) == ("done", 30)
    assert finished.families is not None
    said = dict(finished.families.tables)
    assert said == {"customers": 30, "orders": 120, "items": 480, "reviews": 720, "visits set to NULL": 30} | {
        "reviews": said["reviews"]
    }
    assert max(batches.rows) <= 250
    assert sum(batches.rows) / len(batches.rows) > 60, batches.rows


def test_a_family_larger_than_a_batch_takes_several(database: Database) -> None:
    shop.make(database, customers=10)
    shop.add_items(database, order=1, count=1_000)  # of customer 2, who stays
    shop.add_items(database, order=2, count=1_000, behind=2_000_000)  # of customer 3, who goes
    before, batches = shop.seen(database), Batches()
    finished = library.purge(**shop.job(database, batch_size=SIZE), on_event=batches)
    assert finished.reason == "done"
    assert shop.seen(database) == shop.wanted(before)
    assert max(batches.rows) <= 1.25 * SIZE
    assert batches.rows.count(SIZE) > 10  # those of the large family


def test_the_same_command_goes_on_with_what_was_begun(database: Database) -> None:
    """After a limit too, although a run after a limit is a new one; and before all others."""
    shop.make(database, customers=10)
    shop.add_items(database, order=2, count=500)
    before = shop.seen(database)
    first = library.purge(**shop.job(database, batch_size=SIZE, max_batches=8))
    assert first.reason == "max-batches"
    assert first.families is not None
    assert first.families.begun == 1, first
    assert not shop.lost(database)
    second = library.purge(**shop.job(database, batch_size=SIZE))
    assert (second.reason, second.families and second.families.begun) == ("done", 0)
    assert shop.seen(database) == shop.wanted(before)


def test_a_parent_that_matches_no_longer_is_partial(database: Database) -> None:
    """What is left of its family stays, and the next run that it matches again finishes it."""
    shop.make(database, customers=10)
    shop.add_items(database, order=2, count=500)
    before = shop.seen(database)

    def keep(done: int) -> None:
        if done == 5:
            database.execute("UPDATE customers SET gone = 0 WHERE id = 3")

    finished = library.purge(**shop.job(database, batch_size=SIZE), on_event=Batches(keep))
    assert (finished.reason, finished.exit) == ("incomplete", 3)
    assert finished.families is not None
    assert finished.families.partial == 1
    assert [cause.names for cause in finished.rejected_causes] == [("id=3",)]
    assert "no longer" in (finished.error.message if finished.error else "")
    assert database.scalar("SELECT count(*) FROM customers WHERE id = 3") == 1
    assert not shop.lost(database)
    database.execute("UPDATE customers SET gone = 1 WHERE id = 3")
    again = library.purge(**shop.job(database, batch_size=SIZE))
    assert again.reason == "done"
    assert shop.seen(database) == shop.wanted(before)


@pytest.mark.parametrize("verb", [library.purge, library.archive])
def test_a_parent_that_is_refused_late_is_partial(database: Database, tmp_path: Path, verb: Any) -> None:
    """Some of its family is gone by then; the others of the run go."""
    job = refused_late(database) | ({"to": f"{tmp_path}/", "format": "jsonl"} if verb is library.archive else {})
    finished = verb(**job, on_event=Batches(lambda _: visit(database)))
    assert (finished.reason, finished.exit, finished.rejected) == ("incomplete", 3, 1), finished
    assert finished.families is not None
    assert (finished.families.partial, finished.families.begun) == (1, 0)
    assert "1 of the rejected rows had lost some children before" in (finished.error.message if finished.error else "")
    assert 0 < database.scalar("SELECT count(*) FROM items WHERE order_id = 2") < 300
    assert database.scalar("SELECT count(*) FROM customers WHERE gone = 1") == 1
    assert not shop.lost(database)
    database.execute("DELETE FROM visits")
    again = verb(**job)
    assert (again.reason, again.rows) == ("done", 1), again


def test_a_parent_that_was_marked_is_tried_again_by_its_mark(sqlite: Database) -> None:
    """Its condition does not hold any more; the run that --max-rejected has ended goes on with it."""
    shop.make(sqlite, customers=10)
    shop.add_items(sqlite, order=2, count=300)
    sqlite.execute(
        "CREATE TRIGGER kept BEFORE DELETE ON customers WHEN OLD.id = 3 AND EXISTS (SELECT 1 FROM visits)"
        " BEGIN SELECT RAISE(ABORT, 'kept'); END"
    )
    job = shop.job(sqlite, allow=["triggers"], batch_size=SIZE, mark="gone = 2", max_rejected=0)
    first = library.purge(**job)
    assert (first.reason, first.families and first.families.partial) == ("max-rejected", 1), first
    assert sqlite.scalar("SELECT gone FROM customers WHERE id = 3") == 2
    sqlite.execute("DELETE FROM visits")
    again = library.purge(**job)
    assert again.reason == "done", again
    assert sqlite.scalar("SELECT count(*) FROM customers WHERE gone > 0") == 0


@pytest.mark.parametrize("option", [{"edge": ["visits.customer_id = refuse"]}, {"stop_at": ["visits"]}])
def test_parents_that_an_option_keeps_are_not_refused(sqlite: Database, option: dict[str, Any]) -> None:
    """--max-rejected is for what the database refuses."""
    shop.make(sqlite, customers=10)
    sqlite.execute("DELETE FROM visits WHERE customer_id > 5")
    finished = library.purge(**shop.job(sqlite, max_rejected=0, **option))
    assert (finished.reason, finished.rows, finished.rejected) == ("incomplete", 2, 3), finished


def refused_late(database: Database) -> dict[str, Any]:
    """A job that needs some batches for customer 3, and refuses it from its first visit on."""
    shop.make(database, customers=10)
    shop.add_items(database, order=2, count=300)
    database.execute("DELETE FROM visits")
    return shop.job(database, edge=["visits.customer_id = refuse"], batch_size=SIZE)


def visit(database: Database) -> None:
    """By customer 3, once the family was begun."""
    database.execute(
        "INSERT INTO visits SELECT 1, 3 FROM customers WHERE id = 3 AND NOT EXISTS (SELECT 1 FROM visits)"
        " AND (SELECT count(*) FROM items WHERE order_id = 2) < 300"
    )


@pytest.mark.full
def test_a_mark_closes_the_gap(database: Database) -> None:
    """From then on the mark counts, and no longer the condition."""
    shop.make(database, customers=10)
    shop.add_items(database, order=2, count=500)
    before, states = shop.seen(database), list[Any]()

    def keep(_: int) -> None:
        states.append(database.scalar("SELECT state FROM customers WHERE id = 3"))
        if states[-1] == "going":
            database.execute("UPDATE customers SET gone = 0 WHERE id = 3")

    finished = library.purge(**shop.job(database, batch_size=SIZE, mark="state = 'going'"), on_event=Batches(keep))
    assert finished.reason == "done", finished
    assert "going" in states
    assert shop.seen(database) == shop.wanted(before)


def test_limits_of_parents_and_of_all_rows(database: Database) -> None:
    shop.make(database, customers=20)
    few = library.purge(**shop.job(database, max_rows=3, batch_size=1_000))
    assert (few.reason, few.rows) == ("max-rows", 3)
    assert not shop.lost(database)
    batches = Batches()
    some = library.purge(**shop.job(database, max_total=100, batch_size=30), on_event=batches)
    assert some.reason == "max-total"
    assert sum(batches.rows) == 100
    assert not shop.lost(database)


def test_a_parent_that_an_edge_keeps_is_rejected_by_name(database: Database) -> None:
    """The others of its batch go."""
    shop.make(database, customers=10)
    database.execute("DELETE FROM visits WHERE customer_id <> 3")
    before = shop.seen(database)
    finished = library.purge(**shop.job(database, edge=["visits.customer_id = refuse"], batch_size=1_000))
    assert (finished.reason, finished.rows, finished.rejected) == ("incomplete", 4, 1)
    (cause,) = finished.rejected_causes
    assert cause.reason.startswith("--edge keeps rows of visits")
    assert cause.names == ("id=3",)
    assert shop.seen(database) == shop.wanted(before, lambda row: row["gone"] == 1 and row["id"] != 3)


@pytest.mark.full
def test_without_constraints_the_order_alone_keeps_orphans_away(database: Database) -> None:
    """Edges that are declared only; another connection looks after every commit."""
    shop.make(database, constraints=False)
    shop.add_items(database, order=2, count=500)
    before, found = shop.seen(database), list[dict[str, int]]()
    looking = Batches(lambda _: found.append(shop.lost(database)))
    finished = library.purge(
        **shop.job(database, child=shop.DECLARED, edge=shop.CHOSEN, batch_size=SIZE), on_event=looking
    )
    assert finished.reason == "done"
    assert shop.seen(database) == shop.wanted(before)
    assert len(found) > 20
    assert not any(found)


@pytest.mark.full
def test_several_workers(new_database: NewDatabase) -> None:
    database = new_database("postgresql")
    shop.make(database, customers=200)
    before = shop.seen(database)
    finished = library.purge(**shop.job(database, workers=3, batch_size=SIZE))
    assert finished.reason == "done"
    assert shop.seen(database) == shop.wanted(before)


def test_what_the_command_says(batchops: Batchops, sqlite: Database) -> None:
    shop.make(sqlite, customers=10)
    words = ("purge", "customers", "--where", shop.GONE, "--with-children", "--url", sqlite.url, "-y")
    document = batchops(*words, "--json").json()
    assert document["rows"] == 5
    assert document["tables"]["items"] == 80
    assert "partial" not in document
    assert batchops(*words).code == 0
