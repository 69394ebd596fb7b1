"""What is read while events are with a destination: whatever has come in late, and nothing that is away already."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from batchops.db.types import KeyValue
from batchops.outbox.failures import RefusedEvents
from batchops.outbox.low_water import OutboxLowWaterMark
from batchops.outbox.mapping import EventBatch, MessageMapper
from batchops.outbox.number_runs import SHORTEST
from batchops.outbox.prepare import prepare_relay
from batchops.outbox.relay_registry import Registry
from batchops.outbox.shards import Shards
from batchops.outbox.sinks import Message
from batchops.outbox.source import EventSource
from batchops.outbox.spec import RelaySpec
from batchops.spec.models import checked
from tests.outbox.boxes import event, made, saved
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

INSERT = "INSERT INTO outbox (id, aggregate_type, aggregate_id, event_type) VALUES "


@contextmanager
def reading(database: Database) -> Iterator[EventSource]:
    """The source of a relay that owns every shard."""
    spec = checked(RelaySpec, {"table": "outbox", "to": "file:-", "url": database.url})
    with prepare_relay(spec, {}) as job:
        job.tables.make()
        outbox, failures = job.outbox, RefusedEvents(job.database, job.tables.failed, job.outbox)
        registry = Registry(job.database, job.tables.relays, job.tables.shards, "outbox")
        shards = Shards(job.database, registry, "outbox", 1, 60.0, stays=True)
        shards.look()
        shards.change()
        low, mapper = OutboxLowWaterMark(job.database, outbox, failures), MessageMapper(outbox, job.mapping)
        yield EventSource(job.database, outbox, mapper, shards, failures, low, thorough=False, max_bytes=1 << 20)


def numbers(batch: EventBatch) -> Sequence[int]:
    return [int(id_) for id_ in batch.ids]


def front(batch: EventBatch) -> KeyValue:
    assert batch.front is not None
    return batch.front


def test_events_that_come_in_late_are_read_first(database: Database) -> None:
    made(database)
    saved(database, [event(n, n) for n in range(400)])
    database.execute("DELETE FROM outbox WHERE id IN (1, 60, 150) OR id BETWEEN 200 AND 205")
    with reading(database) as source:
        first = source.read(150)
        second = source.read_on(100, first.ids, front(first))
        away = [*first.ids, *second.ids]
        assert numbers(second) == [*range(154, 200), *range(206, 260)]
        late = [1, 60, 150, 203]
        database.execute(INSERT + ", ".join(f"({number}, 'order', 'late', 'Paid')" for number in late))
        third = source.read_on(100, away, front(second))
        assert numbers(third) == [*late, *range(260, 360)]
        assert third.front == third.last
        away += third.ids
        database.execute("UPDATE outbox SET sent_at = NULL WHERE id = 300")
        assert numbers(source.read_on(100, away, front(third))) == [*range(360, 401)]


def test_where_more_has_come_in_than_may_be_read_nothing_behind_it_is(database: Database) -> None:
    made(database)
    saved(database, [event(n, n) for n in range(300)])
    database.execute("DELETE FROM outbox WHERE id <= 200")
    with reading(database) as source:
        first = source.read(SHORTEST)
        database.execute(INSERT + ", ".join(f"({n}, 'order', 'late', 'Paid')" for n in range(1, 201)))
        second = source.read_on(20, first.ids, front(first))
        assert numbers(second) == [*range(1, SHORTEST + 21)]
        assert second.front == first.front, "what is behind has not been read"


def test_no_more_is_read_than_may_be_in_memory(database: Database) -> None:
    made(database)
    small, large = [event("a", n) for n in range(90)], [event("a", 0, "x" * 300_000) for _ in range(5)]
    saved(database, [*small, *large, *small])
    with reading(database) as source:
        batches, away = [source.read(40)], list[Any]()
        while batches[-1] and len(batches) < 20:
            away += batches[-1].ids
            batches.append(source.read_on(40, away, front(batches[-1])))
    contents = [sum(len(one.body) for one in batch.messages if isinstance(one, Message)) for batch in batches]
    assert [*map(len, batches)][:2] == [40, 40], "small ones come as many as were asked for"
    assert sum(map(len, batches)) == 185
    assert max(contents) <= 1 << 20
