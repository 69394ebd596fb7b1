"""The specs of relay and replay."""

import builtins
import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from batchops.spec import parsers
from batchops.spec.models import (
    PROGRESS,
    ROWS,
    Duration,
    Flag,
    PayloadSpec,
    Several,
)
from batchops.spec.throttled import ThrottledSpec

COLUMNS = "Columns"
MESSAGE = "Message"
DELIVERY = "Delivery"
MOVE = "move:"
STDOUT = "-"
"""The destination that is standard output."""


class EventsSpec(PayloadSpec):
    """A table of events, and what is sent of it to where."""

    to: Annotated[str, Flag("URL", MESSAGE)] = Field(
        min_length=1, description="Destination: file:PATH, - for standard output, or the address of a broker."
    )
    topic: Annotated[str | None, Flag("TEMPLATE", MESSAGE)] = Field(
        None,
        description="Topic, subject, stream or routing key: app.{aggregate_type}. Default: {aggregate_type}.",
    )
    key: Annotated[str | None, Flag("TEMPLATE", MESSAGE)] = Field(
        None,
        description="Key that the destination keeps in order. Default: {aggregate_id}, or the id if NULL.",
    )
    header: Annotated[Several, Flag("NAME=TEMPLATE", MESSAGE, several=True)] = Field(
        (), description="Additional header. Repeatable. event_type and aggregate_type are always sent."
    )
    property: Annotated[Several, Flag("NAME=TEMPLATE", MESSAGE, several=True)] = Field(
        (), description="AMQP property: content_type, type, timestamp, priority and others. Repeatable."
    )
    body: Annotated[str | None, Flag("TEMPLATE", MESSAGE)] = Field(
        None, description="Body of the message. Default: the payload column, unchanged."
    )
    id: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(
        None, description="Column that numbers events in the order of writing. Default: id."
    )
    order: Annotated[tuple[str, ...] | None, BeforeValidator(parsers.names), Flag("A,B", COLUMNS)] = Field(
        None, description="Columns that order an aggregate's events if there is no number: created_at,id; or none."
    )
    message_id: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(
        None, description="Column by which consumers recognise an event. Default: the id."
    )
    aggregate_id: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(
        None, description="Column of the entity whose events stay in order. Default: aggregate_id."
    )
    aggregate_type: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(
        None, description="Column of the aggregate's type."
    )
    event_type: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(None, description="Type of the event.")
    payload: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(None, description="Payload.")
    headers: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(None, description="JSON object of headers.")
    created_at: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(None, description="Time of writing.")
    sent: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(
        None, description="Column that marks sent events, by a time or a flag. Default: sent_at or sent."
    )
    unsent_value: Annotated[Several, Flag("VALUE", COLUMNS, several=True)] = Field(
        (), description="Value of --sent in an unsent event, such as PENDING or NULL. Repeatable. Default: NULL, 0."
    )
    sent_value: Annotated[str | None, Flag("VALUE", COLUMNS)] = Field(
        None, description="Value of --sent in a sent event, such as SENT. Events with other values are ignored."
    )
    sent_as: Annotated[
        Literal["time", "seconds", "milliseconds", "microseconds"] | None,
        Flag("UNIT", COLUMNS),
    ] = Field(
        None,
        description="How --sent stores a time as text or number: time, seconds, milliseconds, microseconds.",
    )
    sent_time: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(
        None, description="Column that also gets the time, if --sent is only a flag."
    )
    ledger_schema: Annotated[str | None, Flag("NAME", PROGRESS)] = Field(
        None,
        description="Schema of the ledger's tables, and of batchops_relay, batchops_shard and batchops_failed. The "
        "first run creates them.",
    )

    @builtins.property
    def writes_stdout(self) -> bool:
        return self.to == STDOUT


class RelaySpec(EventsSpec, ThrottledSpec):
    """Deliver an outbox's events, in order, at least once."""

    after_delivery: Annotated[str, Flag("mark|delete|move:TABLE", DELIVERY)] = Field(
        "mark", description="What to do with a delivered event. Default: mark."
    )
    on_failed: Annotated[Literal["wait", "hold-key", "dead-letter"], Flag("wait|hold-key|dead-letter", DELIVERY)] = (
        Field(
            "wait",
            description="What a refused event's aggregate does. wait: it waits for the event. hold-key: after the last "
            "attempt it waits for `batchops outbox redrive`. dead-letter: after the last attempt it continues. "
            "Default: wait.",
        )
    )
    max_attempts: Annotated[int, Flag("N", DELIVERY)] = Field(
        5, ge=1, le=10_000, description="Attempts before an event is given up. Default: 5."
    )
    backoff: Annotated[Duration, Flag("5s", DELIVERY)] = Field(
        timedelta(seconds=5),
        ge=timedelta(0),
        description="Pause before the second attempt. It doubles each time, with jitter.",
        validate_default=True,
    )
    shards: Annotated[int, Flag("N", DELIVERY)] = Field(
        1,
        ge=1,
        le=256,
        description="Shards of the aggregates, shared by up to N relays. All relays need the same N. Default: 1.",
    )
    lease: Annotated[Duration, Flag("15s", DELIVERY)] = Field(
        timedelta(seconds=15),
        ge=timedelta(seconds=1),
        description="Another relay may take over after this time without a heartbeat.",
        validate_default=True,
    )
    poll: Annotated[Duration | None, Flag("1s", DELIVERY)] = Field(
        None, gt=timedelta(0), description="Keep running, and look for events at least this often."
    )
    listen: Annotated[str | None, Flag("CHANNEL", DELIVERY)] = Field(
        None, description="PostgreSQL: a NOTIFY on this channel wakes a relay that waits under --poll."
    )
    target_time: Annotated[Duration, Flag("250ms")] = Field(
        timedelta(milliseconds=250),
        gt=timedelta(0),
        description="Time that a batch aims to take.",
        validate_default=True,
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.after_delivery not in ("mark", "delete") and not re.fullmatch(rf"{MOVE}.+", self.after_delivery):
            raise ValueError(f'--after-delivery: "{self.after_delivery}" is not one of mark, delete, move:TABLE')
        if self.listen is not None and self.poll is None:
            raise ValueError("--listen needs --poll: notifications may be lost, so polling is the truth")
        return self

    @builtins.property
    def stays_up(self) -> bool:
        return self.poll is not None


class ReplaySpec(EventsSpec):
    """Deliver events again that were sent, without touching what marks them."""

    since: Annotated[str | None, Flag("2026-01-31|2h", ROWS)] = Field(
        None, description="Events sent at this time or later, or within this duration."
    )
    until: Annotated[str | None, Flag("2026-01-31|1h", ROWS)] = Field(
        None, description="Events sent before this time, or longer ago than this duration."
    )
    only_aggregate: Annotated[tuple[str, ...], Flag("ID", ROWS, several=True)] = Field(
        (), description="Events of this aggregate, by its id. Repeatable."
    )
    only_type: Annotated[tuple[str, ...], Flag("NAME", ROWS, several=True)] = Field(
        (), description="Events of this type. Repeatable."
    )
    all_events: Annotated[bool, Flag(group=ROWS)] = Field(False, description="All sent events.")
    rate: Annotated[float | None, Flag("N")] = Field(None, gt=0, description="Limit of events per second.")

    @model_validator(mode="after")
    def _which(self) -> Self:
        some = bool(self.since or self.until or self.only_aggregate or self.only_type)
        if some == self.all_events:
            raise ValueError(
                "which events? Give --since, --until, --only-aggregate or --only-type, or else --all-events"
            )
        return self
