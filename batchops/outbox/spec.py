"""What a relay is asked to do."""

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from batchops.spec import parsers
from batchops.spec.models import PROGRESS, ROWS, Duration, Flag, PayloadSpec, Several

COLUMNS = "Which column is which"
MESSAGE = "What is sent, and where"
DELIVERY = "What becomes of it"
MOVE = "move:"


class EventsSpec(PayloadSpec):
    """A table of events, and what is sent of it to where."""

    to: Annotated[str, Flag("URL", MESSAGE)] = Field(
        min_length=1, description="The destination: file:PATH, - for standard output, or a broker's address."
    )
    topic: Annotated[str | None, Flag("TEMPLATE", MESSAGE)] = Field(
        None, description="Topic, subject, stream or routing key, like app.{aggregate_type}. Default: {aggregate_type}."
    )
    key: Annotated[str | None, Flag("TEMPLATE", MESSAGE)] = Field(
        None, description="What the destination keeps in order. Default: {aggregate_id}; the id, where that is NULL."
    )
    header: Annotated[Several, Flag("NAME=TEMPLATE", MESSAGE, several=True)] = Field(
        (), description="One more header; may be repeated. event_type and aggregate_type are sent anyhow."
    )
    property: Annotated[Several, Flag("NAME=TEMPLATE", MESSAGE, several=True)] = Field(
        (), description="AMQP: content_type, type, timestamp, priority and the like; may be repeated."
    )
    body: Annotated[str | None, Flag("TEMPLATE", MESSAGE)] = Field(
        None, description="Default: the payload as it stands in its column."
    )
    id: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(
        None, description="Numbers events in the order they are written. Default: id."
    )
    order: Annotated[tuple[str, ...] | None, BeforeValidator(parsers.names), Flag("A,B", COLUMNS)] = Field(
        None, description="The order of an aggregate's events where no number tells it: created_at,id; or none."
    )
    message_id: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(
        None, description="What consumers know an event by. Default: the id."
    )
    aggregate_id: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(
        None, description="What is kept in order. Default: aggregate_id."
    )
    aggregate_type: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(None, description="Its kind.")
    event_type: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(None, description="What happened.")
    payload: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(None, description="The content.")
    headers: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(None, description="A JSON object of headers.")
    created_at: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(None, description="When it was written.")
    sent: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(
        None, description="Marks a sent event: when, or whether. Default: sent_at or sent."
    )
    unsent_value: Annotated[Several, Flag("VALUE", COLUMNS, several=True)] = Field(
        (), description="What --sent holds of an unsent event, like PENDING or NULL; may be repeated. Default: NULL, 0."
    )
    sent_value: Annotated[str | None, Flag("VALUE", COLUMNS)] = Field(
        None, description="What it holds of a sent one, like SENT. Any other value is left alone."
    )
    sent_as: Annotated[
        Literal["time", "seconds", "milliseconds", "microseconds"] | None,
        Flag("UNIT", COLUMNS),
    ] = Field(
        None,
        description="How it spells a time that its type is not: time (a text), seconds, milliseconds, microseconds.",
    )
    sent_time: Annotated[str | None, Flag("COLUMN", COLUMNS)] = Field(
        None, description="Gets the time as well, where --sent says only whether."
    )
    ledger_schema: Annotated[str | None, Flag("NAME", PROGRESS)] = Field(
        None, description="Schema of batchops_relay, batchops_shard and batchops_failed, made at the first run."
    )


class RelaySpec(EventsSpec):
    """Deliver an outbox's events, in order, at least once."""

    after_delivery: Annotated[str, Flag("mark|delete|move:TABLE", DELIVERY)] = Field(
        "mark", description="What is done with an event that was delivered. Default: mark."
    )
    on_failed: Annotated[Literal["wait", "hold-key", "dead-letter"], Flag("wait|hold-key|dead-letter", DELIVERY)] = (
        Field(
            "wait",
            description="A refused event holds back its aggregate: until it goes through (wait); once its attempts "
            "are used up, until `batchops outbox redrive` (hold-key), or no longer (dead-letter). Default: block.",
        )
    )
    max_attempts: Annotated[int, Flag("N", DELIVERY)] = Field(
        5, ge=1, le=10_000, description="Attempts after which an event is given up on. Default: 5."
    )
    backoff: Annotated[Duration, Flag("5s", DELIVERY)] = Field(
        timedelta(seconds=5),
        ge=timedelta(0),
        description="Backoff before the second attempt; doubles each time, with jitter.",
        validate_default=True,
    )
    shards: Annotated[int, Flag("N", DELIVERY)] = Field(
        1,
        ge=1,
        le=256,
        description="Shards of the aggregates, shared out among up to as many relays; the same for all. Default: 1.",
    )
    lease: Annotated[Duration, Flag("15s", DELIVERY)] = Field(
        timedelta(seconds=15),
        ge=timedelta(seconds=1),
        description="How long a relay may be without a heartbeat before another relay may take over.",
        validate_default=True,
    )
    poll: Annotated[Duration | None, Flag("1s", DELIVERY)] = Field(
        None, gt=timedelta(0), description="Stay up, and look for events at least that often."
    )
    listen: Annotated[str | None, Flag("CHANNEL", DELIVERY)] = Field(
        None, description="PostgreSQL: a NOTIFY on this channel wakes a relay that sleeps under --poll."
    )
    target_time: Annotated[Duration, Flag("250ms")] = Field(
        timedelta(milliseconds=250), gt=timedelta(0), description="Time a batch aims to take.", validate_default=True
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.after_delivery not in ("mark", "delete") and not re.fullmatch(rf"{MOVE}.+", self.after_delivery):
            raise ValueError(f'--after-delivery: "{self.after_delivery}" is not one of mark, delete, move:TABLE')
        if self.listen is not None and self.poll is None:
            raise ValueError("--listen needs --poll: notifications may be lost, so polling is the truth")
        return self


class ReplaySpec(EventsSpec):
    """Deliver events again that were sent, without touching what marks them."""

    since: Annotated[str | None, Flag("2026-01-31|2h", ROWS)] = Field(
        None, description="Events sent at that moment or later, or no longer ago than that."
    )
    until: Annotated[str | None, Flag("2026-01-31|1h", ROWS)] = Field(
        None, description="Events sent before that moment, or longer ago than that."
    )
    only_aggregate: Annotated[tuple[str, ...], Flag("ID", ROWS, several=True)] = Field(
        (), description="Events of this aggregate, by its id; may be repeated."
    )
    only_type: Annotated[tuple[str, ...], Flag("NAME", ROWS, several=True)] = Field(
        (), description="Events of this type; may be repeated."
    )
    all_events: Annotated[bool, Flag(group=ROWS)] = Field(False, description="Every sent event, instead.")
    rate: Annotated[float | None, Flag("N")] = Field(None, gt=0, description="Events a second, at the most.")

    @model_validator(mode="after")
    def _which(self) -> Self:
        some = bool(self.since or self.until or self.only_aggregate or self.only_type)
        if some == self.all_events:
            raise ValueError(
                "which events? Give --since, --until, --only-aggregate or --only-type, or else --all-events"
            )
        return self
