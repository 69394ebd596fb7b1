"""Every shape of key in every place for leases: each row is handled by itself, retried, given up on, put back."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

import batchops as library
from batchops.events import Event, Rejected
from tests.conftest import NewDatabase
from tests.databases.shapes import COMPOSITE, KEYS, NAMES, STORAGE
from tests.databases.shapes.shape import Made, Shape, make
from tests.queue.functions import noop
from tests.queue.jobs import here
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

ITS_TABLE_STAYS = ("system-versioned", "columns")
"""Shape and place: a column is not added to such a table just so."""
SHAPES = [shape for shape in (*KEYS, *COMPOSITE, *STORAGE, *NAMES) if shape.name != "Aria"]
PLACES = ("columns", "table", "none")
# A place for each shape in the quick tier, so that each shape and each place has its turn.
CASES = [
    pytest.param(shape, on, place, id=f"{shape.name}-{place}-{on}",
                 marks=() if shape.quick and number % len(PLACES) == PLACES.index(place) else pytest.mark.full)
    for number, shape in enumerate(SHAPES) for on in shape.databases for place in PLACES
    if (shape.name, place) != ITS_TABLE_STAYS
]  # fmt: skip
BAD, DEAD = 3, 5
"""The row that fails once, and the one that always fails."""


class Handler:
    """Notes every row by its number; knows which ones fail."""

    def __init__(self) -> None:
        self.seen: Counter[int] = Counter()

    def __call__(self, rows: Sequence[dict[str, Any]]) -> list[str | None]:
        return [self._one(row["n"]) for row in rows]

    def _one(self, number: int) -> str | None:
        self.seen[number] += 1
        if number == BAD and self.seen[number] == 1:
            return "not yet"
        return "never" if number == DEAD else None


@pytest.mark.wide(6)
@pytest.mark.parametrize(("shape", "on", "place"), CASES)
def test_key_shape(new_database: NewDatabase, shape: Shape, on: str, place: str) -> None:
    database = new_database(on)
    made, _ = make(shape, database)
    if place == "none":
        by_row_locks(database, made, len(shape.rows))
        return
    done = here("queue", "init", made.path, "--lease-in", place, "--claimed", "--apply", "--url", database.url)
    assert done.code == 0, done.err
    by_leases(database, made, place, len(shape.rows))


def by_leases(database: Database, made: Made, place: str, rows: int) -> None:
    handler, rejected = Handler(), list[Rejected]()
    marked = {"claimed": ["times = 7"]}
    first = drained(database, made, handler, rejected, max_attempts=2, **marked)
    good = {n: 1 + (n == BAD) for n in range(rows) if n != DEAD}
    given_up = {DEAD: 2} if rows > DEAD else {}
    assert handler.seen == good | given_up
    assert (first.rows, len(rejected)) == (len(good), len(given_up))
    assert states(database, made) == {1: len(good)} | ({0: 1} if given_up else {})
    if not given_up:
        return
    if place == "columns":
        put_back(database, made, rejected[0].key.partition("=")[2] if len(made.key) == 1 else None)
    else:
        database.execute(
            "UPDATE batchops_row_lease SET lease = 'gone.1', lease_until = 1, next_at = NULL, attempts = 1"
        )
    assert drained(database, made, noop, **marked).rows == 1
    assert states(database, made) == {1: rows}


def by_row_locks(database: Database, made: Made, rows: int) -> None:
    seen: Counter[int] = Counter()

    def handler(some: Sequence[dict[str, Any]], _: sa.Connection) -> list[str | None]:
        seen.update(row["n"] for row in some)
        return ["never" if row["n"] == DEAD else None for row in some]

    ended = drained(database, made, handler, lease_in="none")
    assert ended.rows == rows - (rows > DEAD)
    assert states(database, made) == {1: rows - (rows > DEAD)} | ({0: 1} if rows > DEAD else {})


def drained(
    database: Database, made: Made, handler: Any, rejected: list[Rejected] | None = None, **options: Any
) -> Any:
    def note(event: Event) -> None:
        if isinstance(event, Rejected) and rejected is not None:
            rejected.append(event)

    return library.drain(
        url=database.url, table=made.path, where="times = 0", done=["times = 1"], handler=handler, batch_size=7,
        backoff="0s", on_event=note, **options,
    )  # fmt: skip


def states(database: Database, made: Made) -> dict[int, int]:
    return dict(database.rows(f"SELECT times, count(*) FROM {made.path} GROUP BY times"))


def put_back(database: Database, made: Made, key: str | None) -> None:
    """The one row, by the key that was told of it."""
    which = ["--all"] if key is None else ["--row", key]
    done = here("queue", "redrive", made.path, *which, "--url", database.url)
    assert (done.code, "1 rows put back" in done.out) == (0, True), (key, done.out + done.err)


@pytest.mark.parametrize("type", ["enum('b','a')", "float", "bit(8)", "set('a','b')"])
def test_a_key_that_is_not_found_again_is_refused_by_name(mariadb: Database, type: str) -> None:
    mariadb.execute(f"CREATE TABLE jobs (id {type} PRIMARY KEY, status int)")
    asked = ("--where", "status = 0", "--done", "status = 1", "--call", "tests.queue.functions:noop")
    done = here("drain", "jobs", "--url", mariadb.url, *asked)
    assert (done.code, type.split("(")[0] in done.err) == (12, True), done.err
