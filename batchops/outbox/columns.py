"""The names of an outbox's columns, and how a table's columns are recognised by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

USUAL: Mapping[str, Sequence[str]] = {
    "id": ("id", "event_id", "seq", "position"),
    "aggregate_id": ("aggregate_id", "aggregateid", "aggregate", "stream_id", "record_key"),
    "aggregate_type": ("aggregate_type", "aggregatetype", "stream_type"),
    "event_type": ("event_type", "eventtype", "type", "message_type", "record_type"),
    "payload": ("payload", "data", "body", "serialized_event"),
    "headers": ("headers", "metadata"),
    "created_at": ("created_at", "createdat", "occurred_at", "created", "timestamp", "publication_date"),
    "sent": (
        "sent_at",
        "sent",
        "published_at",
        "published",
        "processed_at",
        "processed",
        "dispatched_at",
        "dispatched",
        "completed_at",
        "completion_date",
    ),
}
"""The usual names of a column by its purpose, the likeliest first."""


@dataclass(frozen=True)
class Names:
    """A column's name for each purpose; the defaults are those of a table that `batchops outbox init` makes."""

    id: str = "id"
    aggregate_id: str | None = "aggregate_id"
    aggregate_type: str | None = "aggregate_type"
    event_type: str | None = "event_type"
    payload: str | None = "payload"
    headers: str | None = "headers"
    created_at: str | None = "created_at"
    sent: str | None = "sent_at"


PURPOSES = tuple(field.name for field in fields(Names))


def recognised(columns: Sequence[str], purpose: str) -> str | None:
    """Return the column with a usual name for the purpose; None if there is none."""
    lower = {name.lower(): name for name in columns}
    return next((lower[usual] for usual in USUAL[purpose] if usual in lower), None)
