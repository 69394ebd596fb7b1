"""A mark at claim time: there while a row is worked on, gone when it is not done, never lost with its worker."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import batchops as library
from batchops.events import Finished
from batchops.queue.prepare import prepare_drain
from batchops.queue.spec import DrainSpec
from batchops.spec.models import checked
from tests.command import Batchops, Result, here
from tests.conftest import NewDatabase
from tests.leases import expired
from tests.queue.functions import go_on, noop
from tests.queue.jobs import DONE, DRAIN, PENDING, jobs, leased, states
from tests.queue.test_marks import refuses_by_trigger
from tests.services.database import FAMILIES, Database
from tests.waiting import ended, signalled, until

ROWS = 12
RUNNING = "status = 'running'"


def each(*quick: str) -> pytest.MarkDecorator:
    """Every database with leases in each place; in the quick tier those that are named."""
    cases = [(name, place, f"{name}-{place}") for name in FAMILIES for place in ("columns", "table")]
    marks = [
        pytest.param(name, place, id=id, marks=() if id in quick else pytest.mark.full) for name, place, id in cases
    ]
    return pytest.mark.parametrize(("name", "place"), marks)


def queue(database: Database, place: str, rows: int = ROWS) -> None:
    jobs(database, rows)
    leased(database, place, "--claimed")


def kept(database: Database, place: str) -> list[str]:
    """What is kept of rows that are marked."""
    table = "jobs" if place == "columns" else "batchops_row_lease"
    return [row[0] for row in database.rows(f"SELECT before_claim FROM {table} WHERE before_claim IS NOT NULL")]


def drained(database: Database, handler: Any, **options: Any) -> Finished:
    given: dict[str, Any] = {"where": PENDING, "done": DONE, "claimed": [RUNNING], "backoff": "0s"}
    return library.drain(url=database.url, table="jobs", handler=handler, **given | options)


@pytest.mark.wide(2)
@each("postgresql-columns", "mariadb-table", "sqlite-columns")
def test_a_row_is_marked_while_it_is_worked_on(new_database: NewDatabase, name: str, place: str) -> None:
    database = new_database(name)
    queue(database, place)
    seen: list[dict[str, int]] = []
    tries: list[int] = []

    def handler(rows: Sequence[dict[str, Any]]) -> list[str | None]:
        assert {row["status"] for row in rows} == {"running"}
        seen.append(states(database))
        tries.extend(row["id"] for row in rows if row["id"] in (3, 5))
        return ["not yet" if (row["id"] == 3 and tries.count(3) == 1) or row["id"] == 5 else None for row in rows]

    finished = drained(database, handler, max_attempts=2, batch_size=20)
    assert (finished.rows, finished.exit, sorted(tries)) == (ROWS - 1, 3, [3, 3, 5, 5])
    assert seen[:2] == [{"running": 1, "pending": ROWS - 1}, {"running": ROWS - 1, "done": 1}]
    assert states(database) == {"done": ROWS - 1, "pending": 1}
    assert kept(database, place) == []
    back = here("queue", "redrive", "jobs", "--all", "--url", database.url)
    assert "1 rows put back" in back.out
    failed = drained(database, lambda rows: ["never"] * len(rows), max_attempts=1, failed=["status = 'failed'"])
    assert (failed.exit, states(database)) == (3, {"done": ROWS - 1, "failed": 1})


@pytest.mark.wide(1)
@each("postgresql-table", "mariadb-columns")
def test_a_row_is_found_again_after_kill_9(
    batchops: Batchops, new_database: NewDatabase, tmp_path: Path, name: str, place: str
) -> None:
    database = new_database(name)
    queue(database, place)
    handled = tmp_path / "handled"
    args = ("drain", "jobs", "--url", database.url, *DRAIN, "--claimed", RUNNING, "--claimed", "n = n + 7", "-q")
    process = batchops.start(
        *args, "--call", "tests.queue.functions:slow", "--batch-size", "8", env={"HANDLED": str(handled)}
    )
    until(handled.exists, process)
    process.kill()
    process.communicate()
    assert states(database) == {"done": 1, "running": 8, "pending": 3}
    assert len(kept(database, place)) == 8
    shown = here("queue", "show", "jobs", "--where", PENDING, "--json", "--url", database.url).json()
    assert (shown["backlog"], shown["leased"]) == (3, 8)
    expired(database, "jobs" if place == "columns" else "batchops_row_lease")
    shown = here("queue", "show", "jobs", "--where", PENDING, "--json", "--url", database.url).json()
    assert (shown["backlog"], shown["leased"], shown["expired"]) == (11, 0, 8)
    rows: list[int] = []
    # The next drain need not know of the mark.
    claimed = [RUNNING] if place == "columns" else []
    finished = drained(database, lambda some: rows.extend(row["n"] for row in some), batch_size=4, claimed=claimed)
    assert (finished.exit, finished.rows, rows) == (0, 11, [0] * 11), finished
    assert states(database) == {"done": ROWS}
    assert kept(database, place) == []


@each("sqlite-table")
def test_what_the_application_changes_meanwhile_stays(new_database: NewDatabase, name: str, place: str) -> None:
    database = new_database(name)
    queue(database, place, 6)
    handled: list[int] = []

    def handler(rows: Sequence[dict[str, Any]]) -> list[str | None]:
        handled.extend(row["id"] for row in rows)
        if 2 in [row["id"] for row in rows]:
            database.execute("UPDATE jobs SET status = 'cancelled' WHERE id = 2")
            database.execute("UPDATE jobs SET n = 50 WHERE id = 3")
        return ["not yet" if row["id"] in (2, 3, 4) and handled.count(row["id"]) == 1 else None for row in rows]

    finished = drained(database, handler, claimed=[RUNNING, "n = n + 7"], batch_size=10)
    assert (finished.rows, sorted(handled)) == (5, [1, 2, 3, 3, 4, 4, 5, 6]), finished
    found = {number: (status, n) for number, status, n in database.rows("SELECT id, status, n FROM jobs")}
    changed = {2: ("cancelled", 0), 3: ("done", 57)}
    assert found == dict.fromkeys(range(1, 7), ("done", 7)) | changed
    assert kept(database, place) == []


@pytest.mark.full
@each("postgresql-columns")
def test_a_worker_that_has_lost_its_lease_undoes_nothing(
    batchops: Batchops, new_database: NewDatabase, tmp_path: Path, name: str, place: str
) -> None:
    database = new_database(name)
    queue(database, place)
    handled = tmp_path / "handled"
    args = ("drain", "jobs", "--url", database.url, *DRAIN, "--claimed", RUNNING, "--json", "--max-batches", "1")
    zombie = batchops.start(*args, "--call", "tests.queue.functions:slow_fails", env={"HANDLED": str(handled)})
    until(handled.exists, zombie)
    zombie.send_signal(signal.SIGSTOP)
    expired(database, "jobs" if place == "columns" else "batchops_row_lease")
    inside: list[dict[str, int]] = []

    def handler(_: Sequence[dict[str, Any]]) -> None:
        inside.append(states(database))
        if len(inside) == 3:
            go_on(handled).touch()
            zombie.send_signal(signal.SIGCONT)
            _, out, _ = ended(zombie)
            assert '"lost": 11' in out, out
            inside.append(states(database))

    assert drained(database, handler).rows == ROWS - 1
    assert inside[2] == inside[3], "what another has claimed by now is still marked"
    assert inside[2]["running"] >= 1
    assert states(database) == {"done": ROWS}
    assert kept(database, place) == []


@each("mariadb-table")
def test_sigterm_hands_rows_back_without_the_mark(
    batchops: Batchops, new_database: NewDatabase, tmp_path: Path, name: str, place: str
) -> None:
    database = new_database(name)
    queue(database, place)
    began = tmp_path / "began"
    work = f"sh -c 'echo x >> {began}; while [ ! -e {go_on(began)} ]; do sleep 0.1; done'"
    args = ("drain", "jobs", "--url", database.url, *DRAIN, "--claimed", RUNNING, "-q", "--exec", work)
    process = batchops.start(*args, "--batch-size", "10")
    until(began.exists, process)
    signalled(process, signal.SIGTERM)
    go_on(began).touch()
    assert ended(process).code == 143
    begun = len(began.read_text().split())
    assert states(database) == {"done": begun, "pending": ROWS - begun}
    assert kept(database, place) == []


TYPES = {
    "postgresql": [
        ("boolean", "false", "true"),
        ("timestamptz", "'2024-10-27 02:30:00.123456+02'", "now()"),
        ("timestamptz", "'infinity'", "now()"),
        ("jsonb", """'{"a": 1.10, "b": [null]}'""", """'{"at": "work"}'"""),
        ("json", """'{"b": 1,  "a": 2}'""", "'{}'"),
        ("mood", "'sad'", "'ok'"),
        ("uuid", "'" + "ab" * 16 + "'", "NULL"),
        ("bytea", "'\\x00ff'", "'\\x01'"),
        ("numeric", "1.100", "2"),
        ("real", "0.1", "0.2"),
        ("text[]", "'{a,NULL}'", "'{}'"),
        ("interval", "'1 mon 25:00:00'", "'1 day'"),
        ("char(5)", "'a'", "'b'"),
        ("int4range", "'[1,5)'", "'empty'"),
        ("bit(3)", "B'101'", "B'111'"),
        ("money", "'1.50'", "'2'"),
        ("text", "'it''s ü %s :x'", "'on'"),
    ],
    "mysql": [
        ("boolean", "0", "1"),
        ("timestamp(6) NULL", "'2024-06-01 02:30:00.123456'", "now()"),
        ("datetime", "'1999-01-01'", "now()"),
        ("json", """'{"a": 1.10}'""", """'{"at": "work"}'"""),
        ("enum('sad', 'ok')", "'sad'", "'ok'"),
        ("set('a', 'b')", "'a,b'", "'b'"),
        ("binary(16)", "x'00ff'", "x'01'"),
        ("varbinary(9)", "x'25275c'", "x''"),
        ("blob", "x'ff00'", "x'01'"),
        ("bit(9)", "b'101000001'", "b'1'"),
        ("time", "'-30:00:01'", "'10:00:00'"),
        ("year", "2001", "2024"),
        ("float", "1 / 3", "2 / 3"),
        ("double", "1 / 3", "2 / 3"),
        ("decimal(20, 10)", "1.1000000001", "2"),
        ("varchar(9) CHARACTER SET latin1", "'é'", "'ü'"),
        ("bigint unsigned", "18446744073709551615", "1"),
    ],
    "sqlite": [
        ("", "1", "'1'"),
        ("", "x'00ff'", "0.5"),
        ("real", "1.0 / 3", "2.0 / 3"),
        ("text", "'it''s'", "NULL"),
        ("integer", "9223372036854775807", "0"),
        ("boolean", "0", "1"),
        ("", "1e999", "''"),
    ],
}
TYPED = [
    pytest.param(name, place, type, old, new, id=f"{name}-{place}-{type or 'untyped'}-{old}"[:60],
                 marks=() if (number, place) == (0, "columns") else pytest.mark.full)
    for name in FAMILIES
    for number, (type, old, new) in enumerate(TYPES["mysql" if name == "mariadb" else name])
    for place in ("columns", "table")
]  # fmt: skip


@pytest.mark.wide(2)
@pytest.mark.parametrize(("name", "place", "type", "old", "new"), TYPED)
def test_a_value_of_any_type_comes_back_exactly(
    new_database: NewDatabase, name: str, place: str, type: str, old: str, new: str
) -> None:
    database = new_database(name)
    if type == "mood":
        database.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
    database.execute(f"CREATE TABLE jobs (id integer PRIMARY KEY, status varchar(20), c {type})")
    database.execute(f"INSERT INTO jobs VALUES (1, 'pending', {old}), (2, 'pending', NULL), (3, 'pending', {old})")
    made = here("queue", "init", "jobs", "--lease-in", place, "--claimed", "--apply", "--url", database.url)
    assert made.code == 0, made.err
    value = "c::text" if name == "postgresql" else "c"
    before = database.rows(f"SELECT id, {value} FROM jobs ORDER BY id")
    seen: list[Any] = []

    def handler(rows: Sequence[dict[str, Any]]) -> list[str]:
        seen.extend(database.rows(f"SELECT {value} FROM jobs"))
        return ["no answer"] * len(rows)

    finished = drained(database, handler, claimed=[f"c = {new}"], max_attempts=1)
    assert finished.exit == 3, finished
    assert database.rows(f"SELECT id, {value} FROM jobs ORDER BY id") == before
    assert len({repr(one) for one in seen}) > 1, "it was never marked"


def tried(database: Database, *args: str) -> Result:
    given = ("--where", PENDING, "--call", "tests.queue.functions:record", "--backoff", "20ms", "--json")
    return here("drain", "jobs", "--url", database.url, *given, "--done", DONE, *args)


@pytest.mark.in_turn
def test_what_cannot_be_is_refused_before_any_work(database: Database) -> None:
    jobs(database, 3)
    for place in ("columns", "table"):
        leased(database, place)
    database.execute("ALTER TABLE batchops_row_lease DROP COLUMN before_claim")  # as it was made before
    for place in ("columns", "table"):
        refused = tried(database, "--claimed", RUNNING, "--lease-in", place)
        assert refused.code == 12, refused
        statement = refused.json()["error"]["hint"].partition("adds it: ")[2].rstrip(";")
        assert tried(database, "--lease-in", place, "--dry-run").code == 0
        database.execute(statement)
        shown = tried(database, "--claimed", RUNNING, "--lease-in", place, "--dry-run")
        said = shown.err.translate(dict.fromkeys(map(ord, '"`'), ""))
        assert (shown.code, "SET status=('running')" in said, "claimed" in said) == (0, True, True), shown
    for args, code in (
        (("--claimed", RUNNING, "--lease-in", "none", "--set", "n = 1"), 2),
        (("--claimed", "id = 7"), 12),
        (("--claimed", "attempts = 7"), 12),
        (("--claimed", "before_claim = 'x'"), 12),
        (("--claimed", "statu = 'x'"), 2),
    ):
        call = () if "--set" in args else ("--call", "tests.queue.functions:noop")
        result = here("drain", "jobs", "--url", database.url, "--where", PENDING, "--done", DONE, *call, *args)
        assert (result.code, "--claimed" in result.err) == (code, True), (args, result)
    assert states(database) == {"pending": 3}


@pytest.mark.wide(2)
@pytest.mark.in_turn
@pytest.mark.parametrize("place", ["columns", "table"])
@pytest.mark.parametrize(
    ("refuses", "says"),
    [("NEW.status = 'running'", "--claimed"), ("NEW.status = 'pending' AND OLD.status = 'running'", "undo")],
    ids=["refused", "not-undone"],
)
def test_a_mark_that_the_table_refuses_or_keeps_ends_it_before_any_work(
    database: Database, place: str, handled: Path, refuses: str, says: str
) -> None:
    queue(database, place)
    refuses_by_trigger(database, refuses)
    refused = tried(database, "--claimed", RUNNING)
    assert (refused.code, handled.read_text()) == (3, ""), refused
    assert says in refused.json()["error"]["message"], refused
    assert states(database) == {"pending": ROWS}
    assert kept(database, place) == []


@pytest.mark.wide(1)
@pytest.mark.in_turn
@pytest.mark.parametrize("place", ["columns", "table"])
def test_a_mark_that_is_refused_for_one_row_is_its_failure(database: Database, place: str, handled: Path) -> None:
    queue(database, place)
    refuses_by_trigger(database, "NEW.status = 'running' AND NEW.id = 5")
    ended_ = tried(database, "--claimed", RUNNING, "--max-attempts", "1", "--failed", "status = 'failed'")
    assert (ended_.code, ended_.json()["rows"]) == (3, ROWS - 1), ended_
    assert "5" not in handled.read_text().split()
    assert states(database) == {"done": ROWS - 1, "failed": 1}
    assert kept(database, place) == []


def test_columns_that_a_check_ties_together_are_set_and_undone_together(postgresql: Database) -> None:
    queue(postgresql, "columns")
    postgresql.execute("ALTER TABLE jobs ADD CHECK ((status = 'running') = (n > 0))")
    finished = drained(
        postgresql, lambda rows: ["never"] * len(rows), claimed=[RUNNING, "n = 1"], max_attempts=1, done=[DONE, "n = 0"]
    )
    assert finished.exit == 3, finished
    assert postgresql.rows("SELECT DISTINCT status, n FROM jobs") == [("pending", 0)]
    assert here("queue", "redrive", "jobs", "--all", "--url", postgresql.url).code == 0
    assert drained(postgresql, noop, claimed=[RUNNING, "n = 1"], done=[DONE, "n = 0"]).rows == ROWS


@pytest.mark.in_turn
@pytest.mark.parametrize("place", ["columns", "table"])
def test_a_leased_row_that_its_mark_hides_is_no_row_less(database: Database, place: str) -> None:
    queue(database, place)
    database.execute("UPDATE jobs SET status = 'done' WHERE id < 3")
    database.execute("UPDATE jobs SET status = 'running' WHERE id = 3")
    far, before = 9e9, '{"status":["pending","running"]}'
    if place == "columns":
        database.execute(f"UPDATE jobs SET lease = 'w.1', lease_until = {far}, before_claim = '{before}' WHERE id = 3")
    else:
        database.execute(
            "INSERT INTO batchops_row_lease (relation, row_key, lease, lease_until, attempts, before_claim)"
            f" VALUES ('jobs', '3', 'w.1', {far}, 1, '{before}')"
        )
    spec = checked(
        DrainSpec, {"url": database.url, "table": "jobs", "where": PENDING, "done": [DONE], "set": ["n = 1"]}
    )
    with prepare_drain(spec, {}) as job, job.database.reading() as connection:
        first = job.leases.first(connection, None)
        counts, due = job.leases.counts(connection), job.leases.next_due(connection)
    assert [int(value) for value in first or ()] == [3], "the low-water mark is not past it"
    assert (counts.backlog, counts.leased, counts.pending) == (ROWS - 3, 1, ROWS - 2)
    assert due is not None
    assert due > 1e6
