"""A restore of an archive from which runs were pruned, before it or between two of its runs."""

from pathlib import Path

import pytest

import batchops as library
from batchops.errors import IntegrityError, LockedError, NotFoundError, RefusedError
from batchops.events import Committed, Event, Warned
from batchops.runtime.stop import Stop
from tests.bulk.archiving.archived import rows_in
from tests.command import here
from tests.restore.rows import archive_table
from tests.services.database import Database


@pytest.fixture
def orders(sqlite: Database, tmp_path: Path) -> Database:
    """Three runs of a hundred orders each, which are archived and gone."""
    sqlite.execute("CREATE TABLE orders (id integer PRIMARY KEY, note text)")
    for run in (1, 2, 3):
        sqlite.execute("DELETE FROM orders")
        sqlite.insert("orders", ("id", "note"), [(n, f"note {n}") for n in range(100 * run, 100 * run + 100)])
        archive_table(sqlite, "orders", tmp_path / "a", run=run, rows=50)
    sqlite.execute("DELETE FROM orders")
    return sqlite


def ids(database: Database) -> list[int]:
    return database.column("SELECT id FROM orders ORDER BY id")


def test_the_rest_is_restored_and_the_plan_names_what_is_not(orders: Database, tmp_path: Path) -> None:
    library.archive_prune(tmp_path / "a", run=2)
    options = {"destination": tmp_path / "a", "url": orders.url}
    events = list[Event]()
    done = library.restore(on_event=events.append, **options)
    assert (done.reason, ids(orders)) == ("done", [*range(100, 200), *range(300, 400)])
    plan = library.plan(library.restore, **options)
    assert any("run 2 (100 rows of orders) was pruned at" in text for text in plan.warnings)
    with pytest.raises(NotFoundError) as error:
        library.restore(of_run=2, **options)
    assert "run 2 (100 rows of orders) was pruned at" in error.value.hint
    assert here("restore", tmp_path / "a", "--of-run", "2", "--url", orders.url, "-y").code == 10
    assert not [one for one in events if isinstance(one, Warned) and "missing" in one.text]


def test_what_was_archived_since_is_restored_alone(orders: Database, tmp_path: Path) -> None:
    """The runs that are gone were restored before; no other row takes their place."""
    options = {"destination": tmp_path / "a", "url": orders.url}
    assert library.restore(**options).rows == 300
    library.archive_prune(tmp_path / "a", run=1)
    assert library.restore(**options).reason == "already-done"
    orders.execute("UPDATE orders SET id = id + 1000 WHERE id < 200")
    archive_table(orders, "orders", tmp_path / "a", run=4, rows=1000)
    orders.execute("DELETE FROM orders WHERE id >= 1000 OR id < 250")
    done = library.restore(on_conflict="skip", **options)
    assert (done.reason, done.read) == ("done", 300)
    assert ids(orders) == [*range(200, 400), *range(1100, 1200)]


def test_a_stopped_restore_does_not_go_on_over_a_gap(orders: Database, tmp_path: Path) -> None:
    options = {"destination": tmp_path / "a", "url": orders.url, "batch_size": 30}
    stop = Stop()

    def after_two(event: Event) -> None:
        if isinstance(event, Committed) and event.rows:
            with pytest.raises(LockedError):
                library.archive_prune(tmp_path / "a", run=1)
            stop.ask("stopped")

    assert library.restore(on_event=after_two, stop=stop, **options).reason == "stopped"
    library.archive_prune(tmp_path / "a", run=1)
    with pytest.raises(RefusedError, match=r"run 1 \(100 rows of orders\) was pruned at .* since"):
        library.restore(**options)
    done = library.restore(restart=True, on_conflict="skip", **options)
    assert (done.reason, {*ids(orders)} >= {*range(200, 400)}) == ("done", True)
    (tmp_path / "a/orders/run-000003/000001.parquet").unlink()
    with pytest.raises(IntegrityError, match="missing"):
        library.archive_query(tmp_path / "a", "FROM orders").__enter__()


def test_a_run_that_goes_on_after_a_prune_lists_what_is_new(sqlite: Database, tmp_path: Path) -> None:
    """A copying run continues under its number, and the segments in its ledger may be gone."""
    sqlite.execute("CREATE TABLE t (id integer PRIMARY KEY, note text)")
    sqlite.insert("t", ("id", "note"), [(n, "x") for n in range(100)])
    options = {
        "url": sqlite.url,
        "table": "t",
        "all_rows": True,
        "to": f"{tmp_path}/a/",
        "keep": True,
        "batch_size": 10,
    }
    first = library.archive(max_rows=40, **options)
    assert (first.reason, len(rows_in(tmp_path / "a"))) == ("max-rows", 40)
    assert [one.run for one in library.archive_prune(tmp_path / "a", run=first.run or 0).runs] == [first.run]
    second = library.archive(**options)
    assert second.reason == "done", second
    assert here("archive", "verify", tmp_path / "a").code == 0
    with library.archive_query(tmp_path / "a", "SELECT count(*) FROM t") as result:
        assert [*result.rows] == [(60 if second.run == first.run else 100,)]
