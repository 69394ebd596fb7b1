"""Bad input: one clear line each, its exit code, and nothing marked that was not done."""

import socket
import sys
import threading

import pytest

from tests.command import Batchops
from tests.queue.jobs import DRAIN, drain, here, jobs, leased, states
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

CALL = "tests.queue.functions:{}"
PYTHON = sys.executable

REFUSED = {
    "no handler": ((), 2, "Who does the work?"),
    "two handlers": (("--call", "a:b", "--set", "n = 1"), 2, "--call and --set exclude each other"),
    "no colon": (("--call", "tests.queue.functions"), 2, "not of the form module:function"),
    "no module": (("--call", "tests.nowhere:f"), 2, 'no module "tests.nowhere"'),
    "no function": (("--call", CALL.format("nop")), 2, 'did you mean "noop"?'),
    "no callable": (("--call", CALL.format("NOT_A_FUNCTION")), 2, "is not a function"),
    "raises on import": (("--call", "tests.queue.broken:f"), 2, "cannot be imported: RuntimeError: broken on purpose"),
    "too few results": (("--call", CALL.format("too_few")), 1, "0 results for 1 rows"),
    "no list": (("--call", CALL.format("number")), 1, "returned int for 1 rows"),
    "strange results": (("--call", CALL.format("strange")), 1, "returned float as the result of a row"),
    "no program": (("--exec", "no-such-program --x"), 2, 'no program "no-such-program"'),
    "an open quote": (("--exec", "cat 'x"), 2, "No closing quotation"),
    "no batch program": (("--exec-batch", "no-such-program"), 2, 'no program "no-such-program"'),
    "a program that dies": (("--exec-batch", f"{PYTHON} -c 'raise SystemExit(3)'"), 1, "ends without answering a row"),
    "a program that prints rubbish": (("--exec-batch", "yes rubbish"), 1, "with text that is not JSON: rubbish"),
    "no address": (("--post", "ftp://example.org/x"), 2, "must begin with http"),
    "no column to set": (("--set", "m = 1"), 2, 'has no column "m"'),
    "no column to order by": (("--set", "n = 1", "--order", "x"), 2, '--order: table "jobs" has no column "x"'),
    "listen without poll": (("--set", "n = 1", "--listen", "x"), 2, "--listen needs --poll"),
    "the key set": (("--set", "id = id + 1"), 12, '--set: "id" is the key'),
    "a function that takes nothing": (("--call", "os:getcwd"), 2, "does not take (rows)"),
}


@pytest.mark.wide(8)
@pytest.mark.parametrize("case", list(REFUSED))
def test_one_clear_line_and_nothing_marked(sqlite: Database, case: str) -> None:
    args, code, line = REFUSED[case]
    jobs(sqlite, 200)
    leased(sqlite)
    result = drain(sqlite, *args, "--batch-size", "500")
    assert result.code == code, result.err
    error = result.json()["error"]
    assert line in f"{error['message']} {error['hint']}"
    assert "Traceback" not in result.err
    # What a program does at the very first row it may do because of that row: it is an attempt.
    most = int(case in ("a program that dies", "a program that prints rubbish"))
    assert sqlite.rows("SELECT status, sum(attempts), max(lease), max(n), count(*) FROM jobs") == [
        ("pending", most, None, 0, 200)
    ]


def test_no_place_for_leases(database: Database) -> None:
    jobs(database, 5)
    for args, code, words in (
        (("--call", CALL.format("noop")), 12, "has no place to keep leases in"),
        (("--call", CALL.format("noop"), "--lease-in", "columns"), 12, "has no column lease, lease_until"),
        (("--call", CALL.format("noop"), "--lease-in", "table"), 12, 'no table "batchops_row_lease"'),
        (("--call", CALL.format("noop"), "--lease-in", "none"), 2, "--lease-in none needs --set"),
    ):
        result = drain(database, *args)
        assert (result.code, states(database)) == (code, {"pending": 5})
        assert words in result.json()["error"]["message"]
    assert "batchops queue init jobs" in drain(database, "--call", CALL.format("noop")).json()["error"]["hint"]


def test_a_mark_that_leaves_rows_pending_is_refused(database: Database) -> None:
    jobs(database, 5)
    leased(database)
    for lease in ("columns", "none"):
        args = ("--where", "status = 'pending'", "--done", "n = n + 1", "--set", "payload = 'x'", "--lease-in", lease)
        result = here("drain", "jobs", "--url", database.url, *args, "--json")
        assert (result.code, result.json()["reason"]) == (12, "refused")
        assert "Rows stay pending" in result.json()["error"]["message"]
        assert database.rows("SELECT DISTINCT status, n, lease, attempts FROM jobs") == [("pending", 0, None, 0)]


def test_a_table_without_row_locks_is_refused(mariadb: Database) -> None:
    mariadb.execute("CREATE TABLE jobs (id bigint PRIMARY KEY, status varchar(20), n int) ENGINE = Aria")
    result = drain(mariadb, "--set", "n = 1")
    assert result.code == 12
    assert "its engine, Aria, locks no rows" in result.json()["error"]["message"]


def hook(port: int) -> str:
    return f"http://user:hush-hush@127.0.0.1:{port}/hook?token=hush-hush"


def test_secrets_of_an_address_are_not_told(batchops: Batchops, sqlite: Database) -> None:
    jobs(sqlite, 2)
    leased(sqlite)
    events = batchops.home / "events"
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=hang_up, args=(server,), daemon=True).start()
        args = ("--post", hook(server.getsockname()[1]), "--max-attempts", "1", "--events", str(events))
        result = here("drain", "jobs", "--url", sqlite.url, *DRAIN, *args)
    assert result.code == 3
    assert "no answer: " in events.read_text()
    reasons = sqlite.column("SELECT failure FROM jobs")
    assert "hush-hush" not in result.out + result.err + events.read_text() + "".join(reasons)


def hang_up(server: socket.socket) -> None:
    """Take what comes and answer nothing."""
    for _ in range(2):
        connection, _ = server.accept()
        connection.recv(100)
        connection.close()


def test_a_service_that_is_down_burns_no_attempts(database: Database) -> None:
    """Nothing was sent, so no row has failed: all of them are free again, and the code asks to come back later."""
    jobs(database, 30)
    leased(database)
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = server.getsockname()[1]
    args = ("--post", hook(nobody), "--max-attempts", "1", "--retry-timeout", "500ms")
    result = drain(database, *args)
    assert (result.code, result.json()["reason"], result.json()["rows"]) == (75, "busy", 0)
    assert "Nothing answers at the address of --post" in result.json()["error"]["message"]
    assert result.json()["retries"] >= 1
    assert "hush-hush" not in result.out + result.err
    assert database.rows("SELECT DISTINCT status, lease, attempts, failure FROM jobs") == [("pending", None, 0, None)]
