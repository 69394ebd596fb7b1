"""Texts from outside in tables of batchops' own, where the database's character set cannot hold them."""

from batchops.db.database import connect
from batchops.db.urls import address
from batchops.outbox.failures import RefusedEvent, RefusedEvents, State
from batchops.outbox.resolve import Chosen, find_outbox
from batchops.outbox.tables import OutboxTables
from tests.queue.jobs import here
from tests.services.database import Database

STORED = "→ \\U0001f600"
SAID = "→ 😀"


def test_the_reason_of_a_rejected_row_is_stored(mariadb: Database) -> None:
    mariadb.execute(f"ALTER DATABASE `{mariadb.name}` CHARACTER SET ascii")
    mariadb.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
    mariadb.execute("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)")
    mariadb.execute(
        "CREATE TRIGGER no BEFORE DELETE ON t FOR EACH ROW IF OLD.id = 2 THEN"
        " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no → é'; END IF"
    )
    result = here("purge", "t", "--all-rows", "--allow", "triggers", "-y", "--json", "--url", mariadb.url)
    assert (result.code, mariadb.column("SELECT id FROM t")) == (3, [2]), result.err
    reasons = mariadb.column("SELECT reason FROM batchops_rejected")
    assert len(reasons) == 1
    assert "no \\u2192 \\xe9" in reasons[0]


def test_the_reason_of_a_refused_event_is_stored(mariadb: Database) -> None:
    mariadb.execute(f"ALTER DATABASE `{mariadb.name}` CHARACTER SET utf8mb3")
    assert here("outbox", "init", "--apply", "--url", mariadb.url).code == 0
    reached = connect(address(mariadb.url, {}))
    with reached.reading() as connection:
        outbox = find_outbox(connection, reached, "outbox", Chosen({}))
    beside = OutboxTables(reached, None)
    beside.make()
    with reached.transaction() as connection:
        refused = RefusedEvent("7", "order:1", State.DEAD_LETTER, 5, 0.0, SAID)
        RefusedEvents(reached, beside.failed, outbox).record(connection, [refused])
    reached.close()
    assert mariadb.column("SELECT failure FROM batchops_failed") == [STORED]


def test_the_error_of_a_run_is_stored(mariadb: Database) -> None:
    mariadb.execute(f"ALTER DATABASE `{mariadb.name}` CHARACTER SET ascii")
    mariadb.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
    mariadb.execute("INSERT INTO t VALUES (1, 1)")
    mariadb.execute(
        "CREATE TRIGGER no BEFORE DELETE ON t FOR EACH ROW"
        " SIGNAL SQLSTATE '42000' SET MYSQL_ERRNO = 1146, MESSAGE_TEXT = 'gone → é'"
    )
    result = here("purge", "t", "--all-rows", "--allow", "triggers", "-y", "--json", "--url", mariadb.url)
    assert result.code == 13, result.out
    assert "gone \\u2192 \\xe9" in mariadb.scalar("SELECT error FROM batchops_run")
