"""What a drain sends for each batch: a mark and the next claim in one transaction. A count of them is no time."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from tests.queue.jobs import DONE, PENDING, here, jobs, leased, states
from tests.services.database import Database

pytestmark = pytest.mark.in_turn
ROWS, SIZE = 400, 10
NOOP = ("--call", "tests.queue.functions:noop")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The statements that this process sends, by SQLAlchemy or together as one message, and how many went together."""
    statements: list[str] = []
    execute = psycopg.ClientCursor.execute

    def joined(cursor: Any, text: bytes, *args: Any, **options: Any) -> Any:
        begin, *others = " ".join(text.decode().split()).split("; ")
        statements.extend([begin.partition(" ")[0], *(one for one in others if not one.startswith("SET LOCAL"))])
        about = sum('"jobs"' in one for one in others)
        statements.append(f"{about} together")
        return execute(cursor, text, *args, **options)

    monkeypatch.setattr(psycopg.ClientCursor, "execute", joined)

    def hear(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(" ".join(statement.split()))

    sa.event.listen(sa.Engine, "before_cursor_execute", hear)
    yield statements
    sa.event.remove(sa.Engine, "before_cursor_execute", hear)


def drain(database: Database, *args: str, where: str = PENDING, done: str = DONE) -> dict[str, object]:
    work = ("--where", where, "--done", done, *NOOP, "--batch-size", str(SIZE), "--json")
    document: dict[str, object] = here("drain", "jobs", "--url", database.url, *work, *args).json()
    return document


def counts(sent: list[str]) -> tuple[int, int, int, int]:
    """Claims, marks, looks at what has become of marks, and looks at the size of what is to be claimed."""
    tables = [one for one in sent if '"jobs"' in one]
    claims = [one for one in tables if "FOR UPDATE SKIP LOCKED" in one and '"attempts"=(coalesce' in one]
    marks = [one for one in tables if one.startswith('UPDATE "public"."jobs" SET "status"')]
    looks = [one for one in tables if one.startswith("SELECT 1 FROM") and "any(" in one]
    sizes = [one for one in tables if one.startswith("SELECT") and " AS bytes " in one]
    return len(claims), len(marks), len(looks), len(sizes)


def test_a_batch_is_claimed_and_marked_by_a_statement_each(postgresql: Database, sent: list[str]) -> None:
    jobs(postgresql, ROWS)
    leased(postgresql)
    sent.clear()
    assert drain(postgresql)["rows"] == ROWS
    batches = ROWS // SIZE + 1  # the first row alone shows that the table takes the mark
    claims, marks, looks, sizes = counts(sent)
    assert marks == batches
    assert batches < claims <= batches + 4  # the last ones find nothing
    assert (looks, sizes) == (1, 0)


def test_a_batch_is_claimed_in_the_transaction_of_the_one_before(
    postgresql: Database, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And in one message with its mark, but for the first ones, and where something else is to be looked for."""
    monkeypatch.setattr("batchops.queue.low_water.LOOK_SECONDS", 3600.0)
    monkeypatch.setattr("batchops.queue.claims.RESCUE_EVERY", 3600.0)
    jobs(postgresql, ROWS)
    leased(postgresql)
    sent.clear()
    assert drain(postgresql)["rows"] == ROWS
    claims, marks, _, _ = counts(sent)
    assert claims + marks >= 2 * ROWS // SIZE
    assert sent.count("BEGIN") <= ROWS // SIZE + 6
    assert sent.count("2 together") >= ROWS // SIZE - 4


def test_marks_that_a_trigger_sets_back_are_looked_at_after_each_batch(postgresql: Database, sent: list[str]) -> None:
    """What the statement itself returns does not show it."""
    jobs(postgresql, ROWS)
    leased(postgresql)
    back = "BEGIN UPDATE jobs SET status = 'pending' WHERE id = NEW.id; RETURN NEW; END"
    postgresql.script(
        f"CREATE FUNCTION back() RETURNS trigger LANGUAGE plpgsql AS $$ {back} $$;"
        " CREATE TRIGGER back AFTER UPDATE ON jobs FOR EACH ROW WHEN (NEW.status = 'done' AND NEW.id = 57)"
        " EXECUTE FUNCTION back()"
    )
    sent.clear()
    document = drain(postgresql, "--max-attempts", "1", "--max-time", "20s")
    assert (document["reason"], "stays pending" in str(document["error"])) == ("incomplete", True), document
    assert counts(sent)[2] >= ROWS // SIZE
    assert states(postgresql) == {"done": ROWS - 1, "pending": 1}


def test_a_trigger_that_is_made_while_a_drain_runs_is_seen(
    postgresql: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether there is one is not asked with each batch."""
    jobs(postgresql, ROWS)
    leased(postgresql)
    back = "BEGIN UPDATE jobs SET status = 'pending' WHERE id = NEW.id; RETURN NEW; END"

    def makes_trigger(rows: list[dict[str, Any]]) -> None:
        if rows[0]["id"] == 102:  # the first row is tried alone
            postgresql.script(
                f"CREATE FUNCTION back() RETURNS trigger LANGUAGE plpgsql AS $$ {back} $$;"
                " CREATE TRIGGER back AFTER UPDATE ON jobs FOR EACH ROW WHEN (NEW.status = 'done' AND NEW.id = 300)"
                " EXECUTE FUNCTION back()"
            )

    monkeypatch.setattr("tests.queue.functions.noop", makes_trigger)
    document = drain(postgresql, "--max-attempts", "1")
    assert (document["reason"], "stays pending" in str(document["error"])) == ("incomplete", True), document
    assert states(postgresql) == {"done": ROWS - 1, "pending": 1}


def test_a_condition_that_reads_more_than_the_row_is_asked_after_each_batch(
    postgresql: Database, sent: list[str]
) -> None:
    jobs(postgresql, ROWS)
    leased(postgresql)
    postgresql.execute("CREATE TABLE paused (job bigint)")
    sent.clear()
    where = f"{PENDING} AND id NOT IN (SELECT job FROM paused WHERE job IS NOT NULL)"
    assert drain(postgresql, where=where)["rows"] == ROWS
    assert counts(sent)[2] == ROWS // SIZE + 1
