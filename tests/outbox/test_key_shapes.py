"""Every shape of id and aggregate: each event goes out once, in order, under a key of its own aggregate's."""

from pathlib import Path

import pytest

from tests.conftest import NewDatabase
from tests.databases.shapes import KEYS
from tests.databases.shapes.shape import LITE, MARIA, PG, Shape, spelled
from tests.outbox.boxes import delivered, relay
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

BROKEN = "no JSON"
HELD = 2
"""The aggregate, by its number, whose first event cannot be sent at first."""
IDS = {
    PG: ["smallint", "integer", "bigint", "number"],
    MARIA: ["tinyint", "smallint", "mediumint", "integer", "bigint", "bigint unsigned", "int(10) unsigned zerofill"],
    LITE: ["integer", "bigint NOT NULL", "int NOT NULL"],
}
CASES = [
    pytest.param(shape, on, id=f"{shape.name}-{on}", marks=() if shape.quick else pytest.mark.full)
    for shape in KEYS
    for on in shape.databases
]


def made(database: Database, aggregate: str, id: str, before: str = "") -> None:
    if before:
        database.script(before)
    moment = "timestamptz" if database.backend == "postgresql" else "datetime NULL"
    database.script(
        f"CREATE TABLE outbox (id {id} PRIMARY KEY, aggregate_id {aggregate}, event_type varchar(9), payload text,"
        f" headers text, sent_at {moment})"
    )


@pytest.mark.wide(4)
@pytest.mark.parametrize(("shape", "on"), CASES)
def test_aggregates(new_database: NewDatabase, tmp_path: Path, shape: Shape, on: str) -> None:
    database, out = new_database(on), tmp_path / "out"
    before = spelled(shape.before, on) if shape.before else ""
    made(database, spelled(shape.columns["id"], on), "integer", before)
    number = len(shape.rows)
    events = [
        (n + number * turn, value, f"'{n} {turn}'", f"'{BROKEN}'" if (n, turn) == (HELD, 0) else "NULL")
        for turn in (0, 1)
        for n, (value,) in enumerate(shape.rows)
    ]
    values = ", ".join(f"({id}, {value}, 'x', {payload}, {headers})" for id, value, payload, headers in events)
    database.script(f"INSERT INTO outbox (id, aggregate_id, event_type, payload, headers) VALUES {values}")
    first = relay(database, f"file:{out}", "--on-failed", "hold-key", "--max-attempts", "1", "--batch-size", "7")
    held = number > HELD
    assert (first.code, first.json()["rows"]) == (3 if held else 0, 2 * (number - held)), first.err
    sent = delivered(out)
    assert [event["body"].split()[0] for event in sent].count(str(HELD)) == 0
    keys = {event["body"].split()[0]: event["key"] for event in sent}
    assert len(set(keys.values())) == distinct(database, number, held)
    assert "\ufffd" not in "".join(keys.values())
    for n in keys:
        assert [event["body"].split()[1] for event in sent if event["body"].split()[0] == n] == ["0", "1"]


@pytest.mark.wide(2)
@pytest.mark.parametrize(("on", "type"), [(on, type) for on, types in IDS.items() for type in types])
def test_ids(new_database: NewDatabase, tmp_path: Path, on: str, type: str) -> None:
    database, out = new_database(on), tmp_path / "out"
    made(database, "varchar(9)", type, "CREATE DOMAIN number AS bigint" if type == "number" else "")
    unsigned = "unsigned" in type
    ids = [0, 1, 2, 126, 127] if unsigned else [-128, -1, 0, 1, 127]
    ids += [2**63, 2**64 - 1] if type == "bigint unsigned" else []
    ids += [2**53 + 1, 2**63 - 1] if type.split()[0] in ("bigint", "number") and not unsigned else []
    values = ", ".join(f"({id}, 'a', 'x', '{n}')" for n, id in enumerate(ids))
    database.script(f"INSERT INTO outbox (id, aggregate_id, event_type, payload) VALUES {values}")
    done = relay(database, f"file:{out}", "--batch-size", "2")
    assert (done.code, done.json()["rows"]) == (0, len(ids)), done.err
    assert [event["body"] for event in delivered(out)] == [str(n) for n in range(len(ids))]
    assert [int(event["id"]) for event in delivered(out)] == ids
    assert database.scalar("SELECT count(*) FROM outbox WHERE sent_at IS NULL") == 0


def distinct(database: Database, number: int, held: bool) -> int:
    """Aggregates but for the held one. SQLite's 1 and '1' are one, as they are one to every broker."""
    if database.backend != "sqlite":
        return number - held
    text = "lower(hex(aggregate_id))"
    text = f"CASE typeof(aggregate_id) WHEN 'blob' THEN {text} WHEN 'real' THEN quote(aggregate_id) ELSE "
    text += "CAST(aggregate_id AS TEXT) END"
    count: int = database.scalar(f"SELECT count(DISTINCT {text}) FROM outbox WHERE id % {number} <> {HELD}")
    return count
