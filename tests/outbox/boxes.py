"""Outboxes to be relayed, and what has come out of them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, make_url

from batchops.outbox import Event, save
from tests.command import Result, here
from tests.services.database import Database

ID = {
    "postgresql": "bigserial PRIMARY KEY",
    "mysql": "bigint AUTO_INCREMENT PRIMARY KEY",
    "sqlite": "integer PRIMARY KEY AUTOINCREMENT",
}
_PLAIN = (
    "aggregate_type varchar(50), aggregate_id varchar(50), event_type varchar(50), payload text,"
    " created_at timestamp DEFAULT CURRENT_TIMESTAMP, sent boolean NOT NULL DEFAULT {}"
)


def made(database: Database, *args: str) -> None:
    """A table `outbox`, made as a user would."""
    done = here("outbox", "init", "--apply", "--url", database.url, *args)
    assert done.code == 0, done.err


def plain(database: Database) -> None:
    """A table `outbox` as others have it, with a yes or no for what was sent."""
    no = "false" if database.backend == "postgresql" else "0"
    database.execute(f"CREATE TABLE outbox (id {ID[database.backend]}, {_PLAIN.format(no)})")


def event(aggregate: object, number: int, payload: Any = None) -> Event:
    """The so-manieth of an order."""
    return Event("order", aggregate, "Paid", {"n": number} if payload is None else payload)


def saved(database: Database, events: Iterable[Event], **options: Any) -> None:
    """Events in one transaction."""
    with engine(database).begin() as connection:
        save(connection, list(events), **options)


def engine(database: Database) -> Any:
    """As an application has it."""
    return database.engine if database.backend != "sqlite" else create_engine(make_url(database.url))


def relay(database: Database, to: str, *args: str) -> Result:
    """`batchops relay outbox`, with its document."""
    return here("relay", "outbox", "--url", database.url, "--to", to, "--json", *args)


def delivered(path: Path) -> list[dict[str, Any]]:
    """What a file has received."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def left(database: Database) -> int:
    """Events that are unsent."""
    count: int = database.scalar("SELECT count(*) FROM outbox WHERE sent_at IS NULL")
    return count
