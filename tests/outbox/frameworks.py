"""Outboxes whose events have no number, as frameworks make them by their own DDL."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.services.database import Database

TYPES: Mapping[str, Mapping[str, str]] = {
    "postgresql": {"uuid": "uuid", "uuid36": "uuid", "raw": "uuid", "time": "timestamptz", "bytes": "bytea",
                   "json": "jsonb", "text": "text", "long": "varchar(255)"},
    "mysql": {"uuid": "uuid", "uuid36": "varchar(36)", "raw": "binary(16)", "time": "timestamp(6) NULL",
              "bytes": "longblob", "json": "json", "text": "longtext", "long": "varchar(255)"},
    "sqlite": {"uuid": "text", "uuid36": "text", "raw": "blob", "time": "timestamp", "bytes": "blob",
               "json": "text", "text": "text", "long": "varchar(255)"},
}  # fmt: skip
BEGUN = datetime(2026, 1, 31, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Framework:
    """A table, how the framework writes its so-manieth event of one of seven aggregates, and how it is relayed."""

    ddl: str
    columns: str
    values: Callable[[int], tuple[Any, ...]]
    args: tuple[str, ...]
    left: str
    """What holds of an event that is not sent."""
    ordered: bool = True

    def make(self, database: Database) -> None:
        """The table `outbox`."""
        database.execute(self.ddl.format(**TYPES[database.backend]))

    def write(self, database: Database, first: int, last: int) -> None:
        """These events."""
        rows = [tuple(fitting(database, value) for value in self.values(number)) for number in range(first, last)]
        database.insert("outbox", self.columns.split(), rows)


def fitting(database: Database, value: Any) -> Any:
    """As the database's driver takes it."""
    if isinstance(value, datetime) and database.backend != "postgresql":
        return value.replace(tzinfo=None).isoformat(" ", "microseconds")
    if isinstance(value, uuid.UUID):
        return value if database.backend == "postgresql" else str(value)
    if isinstance(value, Raw):
        return uuid.UUID(bytes=bytes(value)) if database.backend == "postgresql" else bytes(value)
    return value


class Raw(bytes):
    """A UUID where some databases keep its bytes."""


def at(number: int) -> datetime:
    return BEGUN + timedelta(milliseconds=number)


def body(number: int) -> str:
    return f'{{"n": {number}}}'


FRAMEWORKS = {
    "debezium": Framework(
        "CREATE TABLE outbox (id {uuid} NOT NULL PRIMARY KEY, aggregatetype {long} NOT NULL, aggregateid {long}"
        " NOT NULL, type {long} NOT NULL, payload {json})",
        "id aggregatetype aggregateid type payload",
        lambda n: (uuid.uuid4(), "order", f"a{n % 7}", "Paid", body(n)),
        ("--after-delivery", "delete", "--order", "none"), "1 = 1", ordered=False,
    ),
    "modulith": Framework(
        "CREATE TABLE outbox (id {uuid36} NOT NULL, listener_id {long} NOT NULL, event_type {long} NOT NULL,"
        " serialized_event {text} NOT NULL, publication_date {time} NOT NULL, completion_date {time}, status {text},"
        " completion_attempts int, last_resubmission_date {time}, PRIMARY KEY (id))",
        "id listener_id event_type serialized_event publication_date",
        lambda n: (uuid.uuid4(), f"a{n % 7}", "Paid", body(n), at(n)),
        ("--aggregate-id", "listener_id", "--order", "publication_date,id"), "completion_date IS NULL",
    ),
    "eventuate": Framework(
        "CREATE TABLE outbox (id {long} NOT NULL PRIMARY KEY, destination {long} NOT NULL, headers {text} NOT NULL,"
        " payload {text} NOT NULL, published smallint DEFAULT 0, message_partition smallint, creation_time bigint)",
        "id destination headers payload creation_time",
        lambda n: (f"{1_700_000_000_000 + n:016x}-0242ac1100020000", f"a{n % 7}", '{"ID": "x"}', body(n), n),
        ("--aggregate-id", "destination", "--order", "id"), "published = 0",
    ),
    "namastack": Framework(
        "CREATE TABLE outbox (id {long} NOT NULL, status varchar(20) NOT NULL, record_key {long} NOT NULL,"
        " record_type {long} NOT NULL, payload {text} NOT NULL, created_at {time} NOT NULL, completed_at {time},"
        " failure_count int NOT NULL, partition_no int NOT NULL, PRIMARY KEY (id))",
        "id status record_key record_type payload created_at failure_count partition_no",
        lambda n: (str(uuid.uuid4()), "NEW", f"a{n % 7}", "Paid", body(n), at(n), 0, n % 256),
        ("--sent", "status", "--unsent-value", "NEW", "--sent-value", "COMPLETED", "--sent-time", "completed_at",
         "--order", "created_at,id"), "status = 'NEW'",
    ),
    "wolverine": Framework(
        "CREATE TABLE outbox (id {raw} NOT NULL PRIMARY KEY, owner_id int NOT NULL, destination {long} NOT NULL,"
        " deliver_by {time}, body {bytes} NOT NULL, attempts int DEFAULT 0, message_type {long} NOT NULL)",
        "id owner_id destination body message_type",
        lambda n: (Raw(uuid.uuid4().bytes), 0, f"a{n % 7}", body(n).encode(), "Paid"),
        ("--aggregate-id", "destination", "--after-delivery", "delete", "--order", "none"), "1 = 1", ordered=False,
    ),
}  # fmt: skip
