"""The same command goes on with its run, whatever strategy and key the run has taken."""

from typing import Any

import pytest

from batchops.db.database import connect
from batchops.db.urls import address
from batchops.events import Committed, Event
from batchops.runtime.stop import Stop
from tests.databases.numbered import Job, numbered
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

OF_EVERY_KIND: dict[str, dict[str, Any]] = {
    "postgresql": {"auto": {}, "key": {}, "block": {}, "limit": {"allow": ["no-key"]}, "match": {}},
    "mysql": {"auto": {}, "key": {}, "limit": {"allow": ["no-key"]}, "match": {}},
    "sqlite": {"auto": {}, "key": {}, "limit": {"allow": ["no-key"]}, "match": {}},
}


@pytest.mark.wide(1)
@pytest.mark.parametrize("key", [("id",), ("other",), None], ids=lambda key: str(key))
def test_a_key_given_with_any_strategy(database: Database, key: tuple[str, ...] | None) -> None:
    numbered(database, 4_000, other=("integer NOT NULL", "4001 - i"), n=("integer NOT NULL", "i % 60"))
    database.execute("CREATE UNIQUE INDEX other_is_unique ON t (other)")
    database.execute("CREATE INDEX n_then_id ON t (n, id)")
    database.execute("ANALYZE TABLE t" if database.backend == "mysql" else "ANALYZE t")
    for number, (strategy, more) in enumerate(OF_EVERY_KIND[database.backend].items()):
        where = f"n >= {10 * number} AND n < {10 * number + 10}"
        options = {"where": where, "strategy": strategy, "batch_size": 20} | ({"key": key} if key else {}) | more
        job = Job(database, "purge", **options)
        stop = Stop()

        def hear(event: Event, stop: Stop = stop) -> None:
            if isinstance(event, Committed):
                stop.ask("signal", 15)

        first = job(hear=hear, stop=stop)
        assert first.reason == "signal", (strategy, first)
        again = job()
        assert (again.reason, again.run) == ("done", first.run), (strategy, again)
        assert database.scalar(f"SELECT count(*) FROM t WHERE {where}") == 0


@pytest.mark.parametrize("workers", [1, 64])
def test_each_worker_finds_a_connection(database: Database, workers: int) -> None:
    """And so do the heartbeat and what else accompanies a run."""
    reached = connect(address(database.url, {}), workers=workers)
    reached.engine.pool._timeout = 0.0  # type: ignore[attr-defined]  # a wait for a connection would be an error
    opened = [reached.engine.connect() for _ in range(workers + 8)]
    for connection in opened:
        connection.close()
    assert reached.engine.pool.checkedin() >= workers + 8  # type: ignore[attr-defined]
    reached.close()
