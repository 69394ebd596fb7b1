"""Families that change while they go: children added, the condition turned over, two runs on the same parents."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

import batchops as library
from tests.bulk.children import shop
from tests.conftest import NewDatabase
from tests.services.database import Database

pytestmark = pytest.mark.in_turn


@contextmanager
def beside(*works: Callable[[int], None]) -> Iterator[None]:
    """Each again and again until the block ends; it may find nothing any more."""
    over, failed = threading.Event(), list[BaseException]()

    def again(work: Callable[[int], None]) -> None:
        number = 0
        while not over.is_set():
            number += 1
            try:
                work(number)
            except DBAPIError:  # a parent that is gone, or a file that is busy
                time.sleep(0.002)
            except BaseException as error:
                failed.append(error)
                raise

    threads = [threading.Thread(target=again, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failed


def adds(database: Database, customers: int) -> Callable[[int], None]:
    """An order with two items for one customer after the other, gone or not."""

    def add(number: int) -> None:
        order = 5_000_000 + number
        with database.engine.connect() as connection, connection.begin():
            if database.backend == "sqlite":  # which asks each connection whether keys are to be kept
                connection.connection.driver_connection.execute("PRAGMA foreign_keys = ON")  # type: ignore[union-attr]
            connection.execute(text(f"INSERT INTO orders VALUES ({order}, {1 + number % customers})"))
            for item in (2 * order, 2 * order + 1):
                connection.execute(text(f"INSERT INTO items VALUES ({item}, {order})"))
        time.sleep(0.002)

    return add


def noted(add: Callable[[int], None]) -> tuple[Callable[[int], None], dict[str, list[int]]]:
    """The same work as `adds` gives, and the ids of what it has added so far, by table."""
    added: dict[str, list[int]] = {"orders": [], "items": []}

    def adding(number: int) -> None:
        add(number)  # raises where it has added nothing
        order = 5_000_000 + number
        added["orders"].append(order)
        added["items"] += [2 * order, 2 * order + 1]

    return adding, added


def turns(database: Database, customers: int) -> Callable[[int], None]:
    """Customers come back and are gone again."""

    def turn(number: int) -> None:
        database.execute(f"UPDATE customers SET gone = 1 - gone WHERE id = {1 + 7 * number % customers}")
        time.sleep(0.002)

    return turn


def looks(database: Database, found: list[dict[str, int]]) -> Callable[[int], None]:
    def look(_: int) -> None:
        found.append(shop.lost(database))

    return look


def finish(database: Database, **more: Any) -> None:
    """Whatever was partial or refused is gone with the next runs."""
    for _ in range(3):
        if library.purge(**shop.job(database, **more)).reason == "done":
            return
    raise AssertionError("rows are refused though nobody writes")


def test_writers_all_the_while(database: Database) -> None:
    """A second connection never sees an orphan, and what matches once they are through goes with the next run."""
    customers = 40
    shop.make(database, customers)
    shop.add_items(database, order=2, count=400)
    found = list[dict[str, int]]()
    with beside(adds(database, customers), turns(database, customers), looks(database, found)):
        for _ in range(2):
            finished = library.purge(**shop.job(database, batch_size=40, retry_timeout="60s"))
            assert finished.reason in ("done", "incomplete"), finished
    assert found
    assert not any(found)
    finish(database, batch_size=500)
    assert database.scalar("SELECT count(*) FROM customers WHERE gone = 1") == 0
    assert not shop.lost(database)


@pytest.mark.full
def test_two_runs_on_the_same_parents(new_database: NewDatabase) -> None:
    """Their conditions differ, so that they are two jobs; each parent goes once."""
    database = new_database("postgresql")
    shop.make(database, customers=60)
    shop.add_items(database, order=2, count=400)
    before, ends = shop.seen(database), list[Any]()

    def run(where: str) -> None:
        ends.append(library.purge(**shop.job(database, where=where, batch_size=40)))

    threads = [threading.Thread(target=run, args=(where,)) for where in (shop.GONE, "gone >= 1")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [end.reason for end in ends] == ["done", "done"], ends
    assert shop.seen(database) == shop.wanted(before)
    assert sum(end.rows for end in ends) == 30
