"""However large rows are, so many bytes of them are in memory at once; one that is larger goes alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import batchops as library
from batchops.events import Committed, Event
from tests.queue.jobs import here
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

ROWS, MB = 20, 1_000_000
LARGE = {
    "postgresql": ("jsonb", f"to_jsonb(repeat('x', {MB} - 2))"),  # a hundredth of that where it lies
    "mysql": ("longtext", f"repeat('x', {MB})"),
    "sqlite": ("text", f"printf('%.*c', {MB}, 'x')"),
}
NUMBERS = "WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s WHERE g < {}) SELECT {} FROM s"


def jobs(database: Database, place: str) -> None:
    """Rows of a megabyte, and one of nine."""
    type, value = LARGE[database.backend]
    larger = value.replace(str(MB), str(9 * MB))
    database.execute(f"CREATE TABLE jobs (id integer PRIMARY KEY, done integer NOT NULL, payload {type})")
    database.execute("INSERT INTO jobs " + NUMBERS.format(ROWS, f"g, 0, {value}"))
    database.execute(f"UPDATE jobs SET payload = {larger} WHERE id = 10")
    if place != "none":
        assert here("queue", "init", "jobs", "--lease-in", place, "--apply", "--url", database.url).code == 0


@pytest.mark.wide(1)
@pytest.mark.parametrize("place", ["columns", "table", "none"])
def test_a_claim(database: Database, place: str) -> None:
    jobs(database, place)
    batches: list[list[tuple[int, int]]] = []

    def note(rows: Sequence[dict[str, Any]]) -> None:
        batches.append([(row["id"], len(row["payload"])) for row in rows])

    def inside(rows: Sequence[dict[str, Any]], _: sa.Connection) -> None:
        note(rows)

    ended = library.drain(
        url=database.url, table="jobs", where="done = 0", done=["done = 1"], max_bytes="4200kB", lease_in=place,
        batch_size=500,
        handler=inside if place == "none" else note,
    )  # fmt: skip
    assert ended.rows == ROWS
    assert [id for batch in batches for id, _ in batch] == list(range(1, ROWS + 1))
    assert max(sum(size for _, size in batch) for batch in batches if len(batch) > 1) <= 4.2 * MB
    # Where there are leases, the first claim is of one row.
    assert [len(batch) for batch in batches] == ([4, 4, 1, 1] if place == "none" else [1, 4, 4, 1]) + [4, 4, 2]


def test_a_relays_batch(database: Database, tmp_path: Path) -> None:
    assert here("outbox", "init", "--apply", "--url", database.url).code == 0
    _, value = LARGE["mysql" if database.backend == "mysql" else "sqlite"]
    value = "repeat('x', 1000000)" if database.backend == "postgresql" else value
    columns = "(aggregate_type, aggregate_id, event_type, payload)"
    quoted = f"concat('\"', {value}, '\"')" if database.backend != "sqlite" else f"'\"' || {value} || '\"'"
    quoted = f"cast({quoted} AS jsonb)" if database.backend == "postgresql" else quoted
    database.execute(f"INSERT INTO outbox {columns} " + NUMBERS.format(ROWS, f"'a', 'b', 'c', {quoted}"))
    events: list[Event] = []
    ended = library.relay(
        url=database.url,
        table="outbox",
        to=f"file:{tmp_path / 'out'}",
        max_bytes=5 * MB,
        batch_size=500,
        on_event=events.append,
    )
    assert ended.rows == ROWS
    assert [event.rows for event in events if isinstance(event, Committed)] == [4] * 5
