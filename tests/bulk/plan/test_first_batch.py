"""The size of a run's first batch, and the bytes of log that bound every batch, by what the plan knows."""

from dataclasses import replace

import pytest

import batchops as library
from batchops.bulk.plan.cost import first_rows
from batchops.db.facts import CASCADE, OtherTable, Reference, TableFacts, Trigger
from batchops.db.table import Table
from batchops.events import Committed
from batchops.runtime.batch_size import START_ROWS
from batchops.runtime.pacing import Pacing
from tests.services.database import Database

TABLE = Table("public", "t", "table", (), (), "1", rows=1_000_000, bytes=100_000_000)
TRIGGER = Trigger("log", "t", "after", "DELETE")
CHILD = Reference(OtherTable(None, "child"), ("t_id",), OtherTable(None, "t"), ("id",), CASCADE, CASCADE, indexed=True)


def test_it_grows_with_the_target_time_and_shrinks_with_the_rows() -> None:
    rows = first_rows("DELETE", TABLE, TableFacts(), 0.05)
    assert rows > 10 * START_ROWS
    assert first_rows("DELETE", TABLE, TableFacts(), 0.01) < rows
    assert first_rows("UPDATE", TABLE, TableFacts(), 0.05) < rows
    assert first_rows("DELETE", replace(TABLE, bytes=10**10), TableFacts(), 0.05) == START_ROWS


@pytest.mark.parametrize("facts", [TableFacts(triggers=(TRIGGER,)), TableFacts(references=(CHILD,))])
def test_a_row_on_which_more_hangs_begins_with_few(facts: TableFacts) -> None:
    assert first_rows("DELETE", TABLE, facts, 0.05) == START_ROWS


def test_a_trigger_of_another_event_does_not_matter() -> None:
    assert first_rows("UPDATE", TABLE, TableFacts(triggers=(TRIGGER,)), 0.05) > START_ROWS


def test_the_log_bounds_a_batch() -> None:
    pacing = Pacing(target=1.0, row_bytes=8_000.0, most_bytes=8_000_000, start=500)
    for _ in range(20):
        size = pacing.size()
        pacing.observe(size, size.rows, size.read, 0.001)
    assert pacing.size().rows == 1_000


@pytest.mark.in_turn
def test_the_first_batch_of_a_run(database: Database) -> None:
    database.script("CREATE TABLE t (id integer PRIMARY KEY, m integer)")
    database.insert("t", ["id", "m"], [(i, 0) for i in range(1, 9_001)])
    events: list[object] = []
    done = library.purge(url=database.url, table="t", all_rows=True, on_event=events.append)
    assert done.rows == 9_000
    assert next(event.size for event in events if isinstance(event, Committed)) > START_ROWS
