"""Columns of any name, in the transaction of an application, of whatever driver, and on the way out."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
from sqlalchemy import make_url
from sqlalchemy.orm import Session

import batchops as library
from batchops.outbox import Event, Names, save
from tests.outbox.boxes import ID, delivered, engine
from tests.services.database import Database

SETS = [
    ("50%", "%s", "%(x)s", ":name"), ("what?", "a\"b", "a`b", "it's"), ("a.b", "a b", "%%", "select"),
    ("{x}", "a;b", "100%d", "ü%"),
]  # fmt: skip


@contextmanager
def opened(database: Database, how: str) -> Iterator[Any]:
    """A connection of an application, committed at the end."""
    if how == "session":
        with Session(engine(database)) as session, session.begin():
            yield session
    elif how == "sqlalchemy":
        with engine(database).begin() as connection:
            yield connection
    else:
        connection = driver(database)
        yield connection
        connection.commit()
        connection.close()


def driver(database: Database) -> Any:
    url = make_url(database.url)
    if database.backend == "sqlite":
        return sqlite3.connect(url.database or "")
    if database.backend == "postgresql":
        return psycopg.connect(database.url)
    return pymysql.connect(
        host=url.host or "",
        port=url.port or 3306,
        user=url.username,
        password=url.password or "",
        database=url.database,
    )


@pytest.mark.wide(2)
@pytest.mark.in_turn
@pytest.mark.parametrize("how", ["driver", "sqlalchemy", "session"])
@pytest.mark.parametrize("names", SETS, ids=lambda names: names[0])
def test_columns_of_an_outbox(database: Database, how: str, names: tuple[str, ...], tmp_path: Path) -> None:
    quote = "`" if database.backend == "mysql" else '"'
    types = ("varchar(50)", "varchar(50)", "text", "timestamp NULL")
    quoted = [f"{quote}{name.replace(quote, 2 * quote)}{quote}" for name in names]
    columns = ", ".join(" ".join(pair) for pair in zip(quoted, types, strict=True))
    database.script(f"CREATE TABLE outbox (id {ID[database.backend]}, {columns})")
    called = dict(zip(("aggregate_id", "event_type", "payload", "sent"), names, strict=True))
    with opened(database, how) as connection:
        events = [Event("order", "7", "Paid", {"n": 50}), Event("order", "7", "Sent", "100 %")]
        save(connection, events, names=Names(aggregate_type=None, headers=None, created_at=None, **called))
    out = tmp_path / "out.jsonl"
    done = library.relay(url=database.url, table="outbox", to=f"file:{out}", **called)
    assert (done.reason, done.rows) == ("done", 2), done
    assert [line["body"] for line in delivered(out)] == ['{"n": 50}', "100 %"]
