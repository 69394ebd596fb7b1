"""The ring of samples: as many as are kept, the oldest is replaced, and another process goes on with it."""

import pytest

from batchops.db.database import connect
from batchops.db.urls import address
from batchops.ledger import samples
from batchops.ledger.ledger import Ledger
from batchops.ledger.samples import Sample, load_samples
from batchops.runtime.event_log import EventLog
from batchops.runtime.loop import RunStats
from batchops.runtime.sampler import Sampler
from tests.databases.numbered import Job, numbered
from tests.services.database import Database


@pytest.mark.in_turn
def test_the_oldest_is_replaced(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    numbered(database, 100, m=("integer", "0"))
    Job(database, "purge", where="id <= 10")()
    monkeypatch.setattr("batchops.runtime.sampler.SLOTS", 5)
    monkeypatch.setattr(samples, "SLOTS", 5)
    opened = connect(address(database.url, {}))
    ledger, stats = Ledger(opened, None, inside=True), RunStats(waiting="a throttle 🛑")
    run = ledger.read(1)
    with opened.transaction() as connection:
        connection.execute(ledger.samples.delete())
    for process in range(2):
        sampler = Sampler(ledger, run, stats, EventLog())
        for batch in range(4):
            stats.rows = 10 * process + batch
            with opened.transaction() as connection:
                sampler(connection)
    with opened.reading() as connection:
        found = load_samples(connection, ledger, 1)
        last = load_samples(connection, ledger, 1, 1)
    opened.close()
    assert [sample.rows - run.rows for sample in found] == [3, 10, 11, 12, 13]
    assert {sample.waiting for sample in found} == {"a throttle 🛑"}
    assert last == found[-1:]
    assert isinstance(found[0], Sample)
