"""Messages made of many rows at once are those made of each row alone, whatever the rows hold."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from batchops.outbox.mapping import MessageMapper
from batchops.outbox.prepare import prepare_relay
from batchops.outbox.sinks import Message, Refused
from batchops.outbox.spec import RelaySpec
from batchops.spec.models import checked
from tests.outbox.boxes import event, made, saved
from tests.services.database import Database

EVENTS = 21
MOMENTS = {
    "postgresql": ("NULL", *(f"timestamptz '2026-10-25 {hour}:30:00.25+00'" for hour in ("00", "01", "12"))),
    "mysql": ("NULL", "'2026-10-25 00:30:00'", "'2026-10-25 01:30:00'"),
    "sqlite": ("NULL", "'2026-10-25 00:30:00'", "1.50"),
}
COLUMNS = {
    "postgresql": ("amount numeric", "ratio double precision", "moment timestamptz"),
    "mysql": ("amount decimal(20, 5)", "ratio double", "moment datetime"),
    "sqlite": ("amount", "ratio", "moment timestamp"),
}
ODD: Mapping[str, Sequence[str]] = {
    "aggregate_type": ("'order'", "'örder'", "''"),
    "aggregate_id": ("'a'", "'ä 🜁'", "''", "'1'"),
    "event_type": ("'Paid'", "'Gezählt'"),
    "headers": (
        "NULL", "''", "'{}'", """'{"x": "y", "n": 1.00}'""", """'{"amount": null, "event_type": "own"}'""", "'[]'",
        "'{'",
    ),
    "amount": ("NULL", "0", "1", "1.0", "1.00", "-12345678901234.00001"),
    "ratio": ("NULL", "0.0", "-0.0", "1.5", "1e300"),
}  # fmt: skip
"""What a column holds, as SQL; every value is in some event."""
PAYLOADS = {
    "text": ("NULL", "''", "'x'", "'Größe 🜁'", """'{"n": 1.0}'""", "'\n'"),
    "json": ("NULL", "'{}'", """'{"n": 1.00, "größe": [null, "🜁"]}'""", "'1e400'"),
    "binary": ("NULL", "''", "'x'", "X'00FF0A'"),
}
OPTIONS: Sequence[Mapping[str, Any]] = (
    {},
    {
        "topic": "app.{event_type}.{amount}", "key": "{aggregate_type}/{aggregate_id}",
        "header": ("amount={amount}", "ratio={ratio}", "moment={moment}"), "body": "{id}: {aggregate_id} {payload}",
    },
    {"header": ("moment={moment}", "ratio={ratio}"), "message_id": "created_at", "key": "{event_type}"},
    {"to": "amqp://h/", "property": ("type={event_type}", "timestamp={moment}")},
)  # fmt: skip


def fill(database: Database, payload: str) -> None:
    """An outbox in which every odd value is in several events, each time beside others."""
    made(database, "--payload", payload)
    for column in COLUMNS[database.backend]:
        database.execute(f"ALTER TABLE outbox ADD COLUMN {column}")
    saved(database, [event("a", n, b"" if payload == "binary" else "{}") for n in range(EVENTS)])
    odd = {**ODD, "moment": MOMENTS[database.backend], "payload": PAYLOADS[payload]}
    for number in range(EVENTS):
        places = ((number * (1 + place % 3) + place, name) for place, name in enumerate(odd))
        values = ", ".join(f"{name} = {odd[name][place % len(odd[name])]}" for place, name in places)
        if database.backend == "postgresql":
            values = values.replace("X'", "'\\x")
        database.execute(f"UPDATE outbox SET {values} WHERE id = {number + 1}")


@pytest.mark.in_turn
@pytest.mark.parametrize("payload", PAYLOADS)
def test_many_rows_make_the_messages_that_each_makes_alone(database: Database, payload: str) -> None:
    fill(database, payload)
    for options in OPTIONS:
        spec = checked(RelaySpec, {"table": "outbox", "to": "file:-", "url": database.url, **options})
        with prepare_relay(spec, {}) as job:
            query = sa.select(*MessageMapper(job.outbox, job.mapping).columns).select_from(job.outbox.table.called)
            with job.database.reading() as connection:
                rows = connection.execute(query.order_by(*job.outbox.ordering)).cursor.fetchall()
            # A mapper each, as one remembers what it made of the same values.
            alone = [MessageMapper(job.outbox, job.mapping)._message(row) for row in rows]
            check(MessageMapper(job.outbox, job.mapping), rows, alone)


def check(mapper: MessageMapper, rows: Sequence[Sequence[Any]], alone: Sequence[Message | Refused]) -> None:
    @settings(max_examples=100, deadline=None, database=None)
    @given(st.lists(st.sampled_from(range(len(rows))), max_size=8))
    def together(drawn: Sequence[int]) -> None:
        assert list(mapper([rows[n] for n in drawn]).messages) == [alone[n] for n in drawn]

    together()
    assert sum(isinstance(message, Message) for message in alone) >= EVENTS / 3
