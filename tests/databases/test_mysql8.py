"""What batchops does on MySQL 8, as far as it can be tried without one: see `services.mysql8`."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import pytest
import sqlalchemy as sa
from sqlalchemy import make_url

from batchops.db.database import Database as Connected
from batchops.db.database import connect
from batchops.db.sessions import Timeouts
from batchops.db.urls import address
from tests.command import Result, here
from tests.conftest import NewDatabase
from tests.outbox.boxes import event, made, relay, saved
from tests.queue.jobs import DRAIN, jobs, leased
from tests.services import mysql8, mysql_grammar
from tests.services.database import Database
from tests.services.mysql8 import MySQL8Wire
from tests.services.private import Private
from tests.services.server import Missing, Server, UnavailableError
from tests.waiting import until

TABLES = """
CREATE TABLE parent (id bigint AUTO_INCREMENT PRIMARY KEY, name varchar(40) NOT NULL UNIQUE);
CREATE TABLE events (
    id bigint AUTO_INCREMENT PRIMARY KEY, parent_id bigint NULL, kind varchar(20) NOT NULL, n int NOT NULL DEFAULT 0,
    created_at datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    changed_at timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    doubled int GENERATED ALWAYS AS (n * 2) VIRTUAL, KEY by_time (created_at),
    CONSTRAINT of_parent FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE CASCADE, CHECK (n < 1000000)
);
INSERT INTO parent (name) WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s WHERE g < 50)
    SELECT concat('p', g) FROM s;
INSERT INTO events (parent_id, kind, created_at)
    WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s WHERE g < 900)
    SELECT 1 + g % 50, concat('k', g % 5), '2020-01-01' + INTERVAL g HOUR FROM s;
ANALYZE TABLE events;
CREATE VIEW some AS SELECT id, kind FROM events WHERE id > 10;
"""
SLOW = "CREATE TRIGGER slow BEFORE UPDATE ON events FOR EACH ROW SET NEW.kind = IF(NEW.id = 79, SLEEP(60), NEW.kind)"


@pytest.fixture(scope="module")
def server(without: Callable[[Missing], NoReturn]) -> Iterator[Private]:
    try:
        private = mysql8.private()
        private.start()
    except UnavailableError as error:
        without(Missing("mysql8", str(error)))
    try:
        yield private
    finally:
        private.remove()


@pytest.fixture
def wire(server: Private) -> Iterator[MySQL8Wire]:
    with MySQL8Wire(server.url) as wire:
        yield wire


@pytest.fixture
def database(server: Private, wire: MySQL8Wire, new_database: NewDatabase) -> Database:
    """All that is sent to it is recorded, the test's own statements too, which are MySQL's."""
    made = new_database("mariadb", at=Server("mysql8", "8", server.url, "private"))
    at = make_url(wire.url)
    made.url = make_url(made.url).set(host=at.host, port=at.port).render_as_string(hide_password=False)
    made.script(TABLES)
    return made


def ran(database: Database, *args: object, code: int = 0) -> Result:
    result = here(*args, "--url", database.url)
    assert result.code == code, (args, result)
    return result


def reached(database: Database, timeouts: Timeouts) -> Connected:
    return connect(address(database.url, {}), timeouts)


@pytest.fixture
def no_strangers(wire: MySQL8Wire, without: Callable[[Missing], NoReturn]) -> Callable[[], None]:
    """Fails where the server has been sent a statement that MySQL's grammar does not know, or MySQL refuses."""

    def no_strangers() -> None:
        folder = mysql_grammar.find()
        if isinstance(folder, Missing):
            without(folder)
        sent = mysql_grammar.shapes(wire.statements)
        assert mysql_grammar.refused(folder, sent) == {}
        assert [sql for sql in sent if mysql8.changes_what_it_reads(sql)] == []

    return no_strangers


@pytest.mark.full
def test_a_plan_is_made_by_statements_of_mysql_8(database: Database, no_strangers: Callable[[], None]) -> None:
    plan = ran(database, "purge", "events", "--where", "kind = 'k1'", "--dry-run")
    assert "MySQL 8.0.36" in plan.out
    no_strangers()


@pytest.mark.full
def test_every_verb_runs_by_statements_of_mysql_8(
    database: Database, tmp_path: Path, no_strangers: Callable[[], None]
) -> None:
    purge_and_backfill(database)
    queue_and_outbox(database, tmp_path)
    no_strangers()


def purge_and_backfill(database: Database) -> None:
    ran(database, "purge", "events", "--before", "2020-01-03", "--by", "created_at", "--strategy", "match", "--yes")
    ran(database, "check", "events", "--verb", "backfill", "--where", "kind = 'k1'", "--set", "n = n + 1")
    ran(database, "purge", "events", "--where", "kind = 'k1'", "--yes", "--batch-size", "50", "--workers", "2")
    ran(database, "purge", "events", "--older-than", "2000 days", "--by", "created_at", "--max-rows", "70", "--yes")
    orphans = "NOT EXISTS (SELECT 1 FROM parent WHERE parent.id = events.parent_id)"
    ran(database, "purge", "events", "--where", orphans, "--yes", "--count")
    own = ("--where", "id IN (SELECT id FROM some)", "--max-rows", "5", "--yes", "--json")
    assert ran(database, "purge", "events", *own).json()["strategy"] == "list"
    ran(database, "backfill", "events", "--set", "n = n + 1", "--where", "created_at < now()", "--yes")
    assert database.rows("SELECT DISTINCT n, doubled FROM events") == [(1, 2)]
    ran(database, "purge", "parent", "--where", "id < 20", "--allow", "cascades", "--yes")
    for command in (("runs",), ("show", "1"), ("ledger", "init")):
        ran(database, *command)


KEPT_IN = (
    "ledger", "request", "sample", "plan", "event", "rejected", "worker", "lease", "run", "row_lease", "failed",
    "relay", "shard",
)  # fmt: skip
"""The ledger's tables, each of which some statement names."""
SENT = {
    "the throttles' signals": ("threads_running", "trx_rseg_history_len", "SELECT 0 AS asked"),
    "refused rows": ("UPDATE IGNORE", "SHOW WARNINGS", "SAVEPOINT forecast"),
    "claims": ("FOR UPDATE SKIP LOCKED",),
    "the ledger": tuple(f"batchops_{name}" for name in KEPT_IN),
}


@pytest.mark.full
def test_throttles_control_and_refused_rows_by_statements_of_mysql_8(
    database: Database, wire: MySQL8Wire, tmp_path: Path, no_strangers: Callable[[], None]
) -> None:
    """What is collected is all that these parts send: each is seen at least once."""
    under_watch(database, tmp_path)
    queue_and_outbox(database, tmp_path)
    sent = "\n".join(wire.statements).casefold()
    assert [word for words in SENT.values() for word in words if word.casefold() not in sent] == []
    no_strangers()


def under_watch(database: Database, tmp_path: Path) -> None:
    ran(database, "throttles", "events")
    watched = (
        *("--throttle", "threads-running=500", "--throttle", "history-list=100000000"),
        *("--throttle-query", "SELECT 0 AS asked", "--lease", "1s", "--sleep", "100ms", "--batch-size", "20"),
    )
    ran(database, "purge", "events", "--where", "kind = 'k2'", "--strategy", "match", "--yes", *watched)
    for command in (
        ("pause", "--job", "1", "closing"),
        ("resume", "--job", "1"),
        ("set", "--job", "1", "--sleep", "1ms"),
    ):
        ran(database, *command)
    refused = ("--set", "n = CASE WHEN id % 9 = 0 THEN 1000000 ELSE n END", "--max-rejected", "900", "--yes")
    ran(database, "backfill", "events", "--all-rows", *refused, code=3)
    ids = tmp_path / "ids"
    ids.write_text("\n".join(map(str, range(100, 300, 2))))
    ran(database, "purge", "events", "--ids", ids, "--yes", "--workers", "2")
    for command in (("runs",), ("show", "1"), ("show", "2"), ("ledger", "prune")):
        ran(database, *command)


def queue_and_outbox(database: Database, tmp_path: Path) -> None:
    jobs(database, 40)
    for place, rows in (("columns", "id <= 20"), ("table", "id > 20")):
        leased(database, place)
        handled = (
            "--lease-in",
            place,
            "--exec",
            "grep -q 7 && exit 1; true",
            "--max-attempts",
            "1",
            "--batch-size",
            "9",
        )
        where = ("--where", f"status = 'pending' AND {rows}", *DRAIN[2:])
        here("drain", "jobs", "--url", database.url, *where, *handled)
        ran(database, "queue", "show", "jobs", "--lease-in", place, "--where", "status = 'pending'")
    made(database)
    saved(database, [event(n % 7, n) for n in range(50)], lock=True)
    done = relay(database, f"file:{tmp_path}/out", "--batch-size", "20")
    assert (done.code, done.json()["rows"]) == (0, 50), done.err


@pytest.mark.full
def test_a_write_that_takes_too_long_is_ended_though_the_server_has_no_timeout_for_it(database: Database) -> None:
    """The batch is halved down to the row, and the end names what to do; all rows before it are done."""
    database.script(SLOW)
    args = ("--set", "n = n + 1", "--where", "n = 0", "--allow", "triggers", "--yes", "--json", "--batch-size", "4")
    slow = ran(database, "backfill", "events", *args, "--statement-timeout", "1s", "--retry-timeout", "0s", code=75)
    assert "--statement-timeout" in slow.json()["error"]["hint"]
    assert database.column("SELECT count(*) FROM events WHERE id < 79 AND n <> 1") == [0]
    assert database.column("SELECT n FROM events WHERE id = 79") == [0]


def test_a_count_ends_in_time(database: Database) -> None:
    with closing(reached(database, Timeouts())) as reach, reach.reading() as connection:
        many = sa.select(sa.literal_column("1")).select_from(sa.text("events a, events b, events c, events d"))
        assert reach.backend.facts.count_within(connection, many, 0.1) is None
        few = sa.select(sa.literal_column("1")).select_from(sa.text("events"))
        assert reach.backend.facts.count_within(connection, few, 60) == 900


def test_a_session_that_the_server_has_closed_for_its_silence_is_replaced(database: Database) -> None:
    """MySQL cannot tell a session that is idle in a transaction, and keeps rows locked, from one in the pool."""

    def mine(connection: sa.Connection) -> Any:
        return connection.execute(sa.text("SELECT connection_id()")).scalar_one()

    with closing(reached(database, Timeouts(statement=1))) as reach:
        with reach.transaction() as connection:
            first = mine(connection)
        there = "SELECT count(*) FROM information_schema.processlist WHERE id = :id"
        until(lambda: database.scalar(there, id=first) == 0)
        with reach.transaction() as connection:
            assert mine(connection) != first
