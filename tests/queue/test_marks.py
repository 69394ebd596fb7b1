"""Marks that a table refuses: seen at the plan where the server can tell, else after one row; never by every row."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.command import Result
from tests.queue.jobs import PENDING, here, jobs, leased, states
from tests.services.database import Database

pytestmark = pytest.mark.in_turn
ROWS = 40
PLACES = pytest.mark.parametrize("place", ["columns", "table"])
RECORD = ("--call", "tests.queue.functions:record")


def worked_on(handled: Path) -> list[int]:
    return [int(line) for line in handled.read_text().splitlines()]


def drain(database: Database, *args: str) -> Result:
    return here("drain", "jobs", "--url", database.url, "--where", PENDING, "--backoff", "20ms", "--json", *args)


def check(database: Database) -> None:
    """A constraint as for an application's states."""
    if database.backend == "sqlite":
        refuses_by_trigger(database, "NEW.status NOT IN ('pending', 'sent', 'failed')")
        return
    database.execute("ALTER TABLE jobs ADD CONSTRAINT states CHECK (status IN ('pending', 'sent', 'failed'))")


def refuses_by_trigger(database: Database, when: str) -> None:
    """A trigger that raises."""
    head = "CREATE TRIGGER no BEFORE UPDATE ON jobs FOR EACH ROW"
    match database.backend:
        case "postgresql":
            raising = "BEGIN RAISE EXCEPTION 'this state is not for you'; END"
            database.script(f"CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ {raising} $$;")
            database.execute(f"{head} WHEN ({when}) EXECUTE FUNCTION no()")
        case "mysql":
            signal = "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'this state is not for you'"
            database.execute(f"{head} IF {when} THEN {signal}; END IF")
        case _:
            database.execute(f"{head} WHEN {when} BEGIN SELECT RAISE(ABORT, 'this state is not for you'); END")


@pytest.mark.wide(2)
@PLACES
@pytest.mark.parametrize("limit", [(), ("--poll", "100ms", "--max-time", "5s"), ("--workers", "3")])
def test_a_mark_refused_by_a_constraint_ends_the_drain_after_one_row(
    database: Database, place: str, limit: tuple[str, ...], handled: Path
) -> None:
    jobs(database, ROWS)
    leased(database, place)
    check(database)
    result = drain(database, *RECORD, "--done", "status = 'done'", *limit)
    document = result.json()
    assert (result.code, document["reason"], document["rows"]) == (3, "incomplete", 0), document
    assert worked_on(handled) == [1]
    assert "The table refuses --done: " in document["error"]["message"]
    assert "id=1" in document["error"]["message"]
    assert states(database) == {"pending": ROWS}


@pytest.mark.wide(2)
@PLACES
@pytest.mark.parametrize("kind", ["null", "trigger", "length"])
def test_a_mark_refused_for_any_other_reason_ends_the_drain_after_one_row(
    database: Database, place: str, kind: str, handled: Path
) -> None:
    jobs(database, ROWS)
    leased(database, place)
    done = {"null": "status = NULL", "trigger": "status = 'done'", "length": f"status = '{'x' * 21}'"}[kind]
    if kind == "trigger" or (kind == "length" and database.backend == "sqlite"):
        refuses_by_trigger(database, "NEW.status <> 'pending'")
    result = drain(database, *RECORD, "--done", done, "--done", "n = 1")
    # PostgreSQL says of a text that is too long as it plans.
    planned = kind == "length" and database.backend == "postgresql"
    assert (result.code, worked_on(handled)) == ((2, []) if planned else (3, [1])), result


@pytest.mark.parametrize("place", ["columns", "none"])
def test_work_in_the_transaction_whose_marks_are_all_refused_ends_the_drain(database: Database, place: str) -> None:
    jobs(database, ROWS)
    if place == "columns":
        leased(database)
    check(database)
    result = drain(
        database, "--call", "tests.queue.functions:effect", "--done", "status = 'done'", "--lease-in", place, "--poll",
        "100ms", "--max-time", "10s",
    )  # fmt: skip
    assert result.code == 3, result
    assert result.json()["error"]["message"].startswith("The table refuses --done")
    assert result.json()["seconds"] < 9
    assert database.scalar("SELECT count(*) FROM effects") == 0


@PLACES
def test_a_batch_whose_marks_are_all_refused_ends_the_drain_later_too(
    database: Database, place: str, handled: Path
) -> None:
    jobs(database, ROWS)
    leased(database, place)
    refuses_by_trigger(database, "NEW.status = 'done' AND NEW.id > 11")
    result = drain(database, *RECORD, "--done", "status = 'done'", "--batch-size", "10")
    assert (result.code, result.json()["rows"]) == (3, 11), result
    assert max(worked_on(handled)) == 21


@pytest.mark.wide(2)
@PLACES
@pytest.mark.parametrize("bad", [1, 7])
def test_a_mark_refused_for_one_row_is_that_rows_failure(database: Database, place: str, bad: int) -> None:
    jobs(database, ROWS)
    leased(database, place)
    refuses_by_trigger(database, f"NEW.status = 'done' AND NEW.id = {bad}")
    result = drain(database, "--call", "tests.queue.functions:noop", "--done", "status = 'done'", "--max-attempts", "1")
    document = result.json()
    assert (result.code, document["rows"], document["dead_letters"]) == (3, ROWS - 1, 1), document
    assert "this state is not for you" in document["error"]["message"]
    assert states(database) == {"done": ROWS - 1, "pending": 1}


@pytest.mark.wide(2)
@pytest.mark.parametrize("place", ["columns", "table", "none"])
def test_a_row_that_stays_pending_though_it_is_marked_fails_alone(database: Database, place: str) -> None:
    """It was worked on without end, and counted as done each time."""
    jobs(database, ROWS)
    if place != "none":
        leased(database, place)
    undone_by_trigger(database, 7)
    work = ("--call", "tests.queue.functions:effect", "--done", "status = 'done'", "--max-attempts", "2")
    result = drain(database, *work, "--lease-in", place, "--backoff", "0s", "--max-time", "20s")
    document = result.json()
    assert (result.code, document["rows"]) == (3, ROWS - 1), document
    assert "stays pending" in document["error"]["message"]
    assert states(database) == {"done": ROWS - 1, "pending": 1}
    assert database.scalar("SELECT count(*) FROM effects WHERE job = 7") == 0


def undone_by_trigger(database: Database, row: int) -> None:
    """A trigger that sets a row back as soon as it is done."""
    when, head = f"NEW.status = 'done' AND NEW.id = {row}", "CREATE TRIGGER back BEFORE UPDATE ON jobs FOR EACH ROW"
    match database.backend:
        case "postgresql":
            back = "BEGIN NEW.status := 'pending'; RETURN NEW; END"
            database.script(f"CREATE FUNCTION back() RETURNS trigger LANGUAGE plpgsql AS $$ {back} $$;")
            database.execute(f"{head} WHEN ({when}) EXECUTE FUNCTION back()")
        case "mysql":
            database.execute(f"{head} IF {when} THEN SET NEW.status = 'pending'; END IF")
        case _:
            back = f"UPDATE jobs SET status = 'pending' WHERE id = {row}"
            database.execute(f"{head.replace('BEFORE', 'AFTER')} WHEN {when} BEGIN {back}; END")


@pytest.mark.parametrize("flag", ["--done", "--failed"])
def test_a_generated_column_is_no_mark(database: Database, flag: str) -> None:
    database.execute(
        "CREATE TABLE jobs (id integer PRIMARY KEY, status varchar(9),"
        " up varchar(9) GENERATED ALWAYS AS (status) STORED)"
    )
    leased(database)
    marks = {"--done": "status = 'done'", "--failed": "status = 'bad'"} | {flag: "up = 'x'"}
    refused = drain(database, "--call", "tests.queue.functions:noop", *(word for one in marks.items() for word in one))
    assert (refused.code, "is generated" in refused.json()["error"]["message"]) == (2, True), refused


@PLACES
def test_a_failed_mark_that_the_table_refuses_sets_rows_aside_and_ends_the_drain(
    database: Database, place: str
) -> None:
    jobs(database, ROWS)
    leased(database, place)
    refuses_by_trigger(database, "NEW.status = 'failed'")
    args = ("--done", "status = 'done'", "--failed", "status = 'failed'", "--max-attempts", "1", "--batch-size", "10")
    result = drain(database, "--call", "tests.queue.functions:some_fail", *args)
    assert result.code == 3, result
    assert result.json()["error"]["message"].startswith("The table refuses --failed"), result
    assert result.json()["dead_letters"] == 1
    shown = here("queue", "show", "jobs", "--url", database.url, "--where", PENDING, "--json").json()
    assert "job 7 is odd; --failed was refused" in shown["failed"][0]["reason"]


@pytest.mark.wide(2)
@pytest.mark.parametrize("args", [("--dry-run",), ()])
@pytest.mark.parametrize("mark", ["n = 'many'", "n = nofunc(1)", "status = (SELECT nope FROM jobs)"])
def test_a_mark_that_the_server_does_not_understand_is_refused_at_the_plan(
    postgresql: Database, mark: str, args: tuple[str, ...], handled: Path
) -> None:
    jobs(postgresql, 3)
    leased(postgresql)
    for flags in (("--done", mark), ("--done", "status = 'done'", "--failed", mark)):
        result = drain(postgresql, *RECORD, *flags, *args)
        assert result.code == 2, result
        assert f"{flags[-2]}: " in result.json()["error"]["message"]
    assert worked_on(handled) == []


def test_a_label_that_an_enum_lacks(postgresql: Database, mariadb: Database, handled: Path) -> None:
    """PostgreSQL tells at the plan; MariaDB only once it is to be written."""
    postgresql.execute("CREATE TYPE state AS ENUM ('pending', 'completed')")
    postgresql.execute("CREATE TABLE jobs (id bigserial PRIMARY KEY, status state NOT NULL DEFAULT 'pending')")
    mariadb.execute(
        "CREATE TABLE jobs (id bigint AUTO_INCREMENT PRIMARY KEY,"
        " status enum('pending', 'completed') NOT NULL DEFAULT 'pending')"
    )
    for database, code in ((postgresql, 2), (mariadb, 3)):
        database.execute("INSERT INTO jobs (id) VALUES (1), (2), (3)")
        leased(database)
        assert drain(database, *RECORD, "--done", "status = 'done'").code == code
    assert worked_on(handled) == [1]


def test_a_partition_that_the_mark_would_leave(postgresql: Database, handled: Path) -> None:
    postgresql.script(
        "CREATE TABLE parent (id bigint NOT NULL, status text NOT NULL) PARTITION BY LIST (status);"
        "CREATE TABLE jobs PARTITION OF parent FOR VALUES IN ('pending'); CREATE UNIQUE INDEX ON jobs (id);"
        "INSERT INTO jobs SELECT g, 'pending' FROM generate_series(1, 40) g"
    )
    leased_parent = here("queue", "init", "jobs", "--lease-in", "table", "--apply", "--url", postgresql.url)
    assert leased_parent.code == 0
    result = drain(postgresql, *RECORD, "--done", "status = 'done'")
    assert (result.code, worked_on(handled)) == (3, [1]), result


def test_a_constraint_that_commit_checks_fails_its_row_alone(postgresql: Database) -> None:
    jobs(postgresql, 20)
    leased(postgresql)
    postgresql.execute("CREATE TABLE known (n integer PRIMARY KEY)")
    postgresql.execute("INSERT INTO known VALUES (0), (1)")
    postgresql.execute("ALTER TABLE jobs ADD FOREIGN KEY (n) REFERENCES known DEFERRABLE INITIALLY DEFERRED")
    done = ("--done", "status = 'done'", "--done", "n = CASE WHEN id = 8 THEN 7 ELSE 1 END")
    for handler in ("noop", "effect"):
        result = drain(postgresql, "--call", f"tests.queue.functions:{handler}", *done, "--backoff", "1h")
        assert result.json()["causes"][0]["names"] == ["id=8"], result
        assert states(postgresql) == {"done": 19, "pending": 1}
        postgresql.execute("UPDATE jobs SET status = 'pending', n = 0, next_at = NULL")


@pytest.mark.wide(2)
@PLACES
def test_a_first_row_that_another_worker_takes_does_not_count_as_refused(
    database: Database, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a lease expires because its worker is slow: the drain goes on with other rows."""
    jobs(database, ROWS)
    leased(database, place)
    leases = "jobs" if place == "columns" else "batchops_row_lease"
    handled: list[int] = []

    def take_over(rows: Sequence[dict[str, Any]]) -> None:
        if not handled:
            database.execute(f"UPDATE {leases} SET lease = 'another', lease_until = 1e12 WHERE lease IS NOT NULL")
        handled.extend(row["id"] for row in rows)

    monkeypatch.setattr("tests.queue.functions.noop", take_over)
    result = drain(
        database, "--call", "tests.queue.functions:noop", "--done", "status = 'done'", "--lock-timeout", "100ms"
    )
    document = result.json()
    assert (result.code, document["reason"], document["rows"]) == (11, "locked", ROWS - 1), document
    assert states(database) == {"pending": 1, "done": ROWS - 1}
