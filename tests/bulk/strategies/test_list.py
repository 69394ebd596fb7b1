"""The strategy list: rows that others change meanwhile stay, a run goes on from its list, and the list goes with it."""

import threading

import pytest
import sqlalchemy as sa

import batchops as library
from batchops.errors import RefusedError
from batchops.events import Rejected
from batchops.ledger.rejected_rows import CHANGED
from tests import race
from tests.bulk.plan.situations import numbers
from tests.bulk.plan.test_roles import role
from tests.bulk.strategies.between_batches import at_batch
from tests.bulk.strategies.locked_rows import held
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.race import Writers
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

OLDEST = "id IN (SELECT id FROM (SELECT id FROM t ORDER BY age DESC, id LIMIT 300) AS oldest)"
"""Evaluated again after some are gone, it means others."""
DOUBLED = "n = n + (SELECT count(*) FROM t AS o WHERE o.n >= t.n)"


def make(database: Database, rows: int = 1_000) -> None:
    database.script("CREATE TABLE t (id integer NOT NULL PRIMARY KEY, age integer NOT NULL, n integer NOT NULL)")
    database.execute(f"INSERT INTO t SELECT i, i * 7919 % {rows}, i % 10 FROM {numbers(database, rows)}")


def purge(database: Database, **options: object) -> "library.Finished":
    return library.purge(**{"url": database.url, "table": "t", "where": OLDEST, "batch_size": 40} | options)


def lists(database: Database) -> list[str]:
    """The tables of lists that are there."""
    return [name for name in sa.inspect(database.engine).get_table_names() if name.startswith("batchops_list_")]


def oldest(database: Database) -> set[int]:
    return set(database.column(f"SELECT id FROM t WHERE {OLDEST}"))


def test_rows_that_others_change_stay(database: Database, batchops: Batchops) -> None:
    """They are reported by their keys, and a new run evaluates the condition anew."""
    make(database)
    wanted, events = oldest(database), list[object]()
    changed, gone = sorted(wanted)[-5:], sorted(wanted)[-8:-5]
    keys = [", ".join(map(str, some)) for some in (changed, gone)]
    others = f"UPDATE t SET n = n + 1 WHERE id IN ({keys[0]}); DELETE FROM t WHERE id IN ({keys[1]})"
    act = at_batch(1, lambda: database.script(others))
    done = purge(database, on_event=lambda event: (act(event), events.append(event)))
    assert (done.reason, done.exit, done.rows, done.rejected, done.left) == ("incomplete", 3, 292, 5, 5), done
    assert done.error is not None
    assert done.error.message == "5 rows were changed after the rows were listed, by other sessions, and left alone."
    found = [event for event in events if isinstance(event, Rejected)]
    assert [(event.key, event.reason, event.changed) for event in found] == [
        (f"id={key}", CHANGED, True) for key in changed
    ]
    assert set(database.column("SELECT id FROM t WHERE id <= 1000")).isdisjoint(wanted - set(changed))
    shown = batchops("show", str(done.run), "--url", database.url)
    assert f"id={changed[0]}" in shown.out
    assert lists(database) == []


@pytest.mark.parametrize("sets", [[DOUBLED], [DOUBLED, "age = age + 1000000"]], ids=["one value", "two values"])
def test_rows_that_others_change_get_no_value(database: Database, sets: list[str]) -> None:
    """What changed after the list was made stays; each other row gets the value of the start, once."""
    make(database)
    wanted, before = oldest(database), dict(database.rows("SELECT id, n FROM t"))
    values = dict(database.rows(f"SELECT id, {DOUBLED.partition(' = ')[2]} FROM t"))
    changed = sorted(wanted)[-5:]
    others = f"UPDATE t SET n = 77 WHERE id IN ({', '.join(map(str, changed))})"
    done = library.backfill(
        url=database.url, table="t", set=sets, where=OLDEST, batch_size=40, allow=["scan"],
        on_event=at_batch(1, lambda: database.execute(others)),
    )  # fmt: skip
    assert (done.reason, done.rows, done.rejected) == ("incomplete", 295, 5), done
    after = before | {key: values[key] for key in wanted} | dict.fromkeys(changed, 77)
    assert dict(database.rows("SELECT id, n FROM t")) == after
    assert database.scalar("SELECT count(*) FROM t WHERE age >= 2000000") == 0
    if len(sets) == 2:
        assert set(database.column("SELECT id FROM t WHERE age >= 1000000")) == wanted - set(changed)


def test_a_backfill_tries_refused_rows_again(database: Database) -> None:
    """With the values of the start, from the list, which is kept for that; rows that were changed stay as they are."""
    database.script(
        "CREATE TABLE allowed (n integer NOT NULL PRIMARY KEY);"
        "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, age integer NOT NULL, n integer NOT NULL,"
        " FOREIGN KEY (n) REFERENCES allowed (n))"
    )
    new = 1_000  # what becomes of a row with n = 0
    database.execute(f"INSERT INTO allowed SELECT i - 1 FROM {numbers(database, 1_200)} WHERE i - 1 <> {new}")
    database.execute(f"INSERT INTO t SELECT i, i * 7919 % 1000, i % 10 FROM {numbers(database, 1_000)}")
    refused = [key for key in sorted(oldest(database)) if key % 10 == 0]
    job = {"url": database.url, "table": "t", "set": [DOUBLED], "where": OLDEST, "batch_size": 40, "allow": ["scan"]}
    one = library.backfill(**job)
    assert (one.reason, one.rows, one.rejected) == ("incomplete", 300 - len(refused), len(refused)), one
    assert len(lists(database)) == 1
    database.execute(f"INSERT INTO allowed VALUES ({new})")
    database.execute(f"UPDATE t SET age = -1 WHERE id = {refused[0]}")
    two = library.backfill(**job)
    assert (two.run, two.reason, two.rows, two.rejected) == (one.run, "incomplete", 299, 1), two
    assert lists(database) == []
    assert database.column(f"SELECT id FROM t WHERE n = {new} ORDER BY id") == refused[1:]
    three = library.backfill(**job)
    assert (three.reason, three.rows, three.exit) == ("incomplete", 0, 3), three
    assert three.error is not None
    assert "which were changed after they were listed" in three.error.message
    assert f"`batchops show {one.run}`" in three.error.hint


CHANGES = {
    "postgresql": ["note = 'X'", "note = 'x '", "note = NULL", "n = n"],
    "mysql": [
        "note = 'X'", "note = 'x '", "empty = NULL", "amount = 0.10000001", "at = '2026-01-01 00:00:00.000001'",
        "flag = 1", "kind = 2", "data = x'00'", "seen = '2026-01-01 00:00:01'",
    ],
    "sqlite": [
        "note = 'X'", "note = 'x '", "empty = NULL", "amount = 0.10000000000000002", "data = x'78'", "flag = '0'",
    ],
}  # fmt: skip
COLUMNS = {
    "postgresql": "note text",
    "mysql": "note varchar(20), empty varchar(20), amount float, at datetime(6), flag bit(1), kind enum('', 'b'),"
    " data blob, seen timestamp NULL",
    "sqlite": "note TEXT COLLATE NOCASE, empty TEXT, amount REAL, data, flag",
}
VALUES = {
    "postgresql": "'x'",
    "mysql": "'x', '', 0.1, '2026-01-01', 0, 1, '', '2026-01-01'",
    "sqlite": "'x', '', 0.1, 'x', 0",
}


def test_a_row_is_proved_by_its_bytes(database: Database) -> None:
    """What compares as equal is another value all the same; on PostgreSQL any UPDATE makes another row."""
    family = database.backend
    database.script(f"CREATE TABLE t (id integer NOT NULL PRIMARY KEY, n integer NOT NULL, {COLUMNS[family]})")
    database.execute(f"INSERT INTO t SELECT i, i, {VALUES[family]} FROM {numbers(database, 100)}")
    changes = CHANGES[family]

    def change() -> None:
        for place, sets in enumerate(changes):
            database.execute(f"UPDATE t SET {sets} WHERE id = {50 + place}")

    where = "NOT EXISTS (SELECT 1 FROM t AS o WHERE o.n < t.n - 1000)"
    done = library.purge(
        url=database.url, table="t", where=where, batch_size=20, on_event=at_batch(1, change), allow=["scan"]
    )
    assert (done.rows, done.rejected) == (100 - len(changes), len(changes)), done
    assert database.column("SELECT id FROM t ORDER BY id") == list(range(50, 50 + len(changes)))


@pytest.mark.parametrize("family", ["postgresql", "mariadb"])
def test_a_row_that_is_changed_while_it_is_waited_for(new_database: NewDatabase, family: str) -> None:
    database = new_database(family)
    make(database)
    first = min(oldest(database))
    with held(database, f"UPDATE t SET n = n + 1 WHERE id = {first}"):
        done = purge(database)
    assert (done.reason, done.rows, done.rejected) == ("incomplete", 299, 1), done
    assert database.scalar(f"SELECT count(*) FROM t WHERE id = {first}") == 1


@pytest.mark.wide(1)
@pytest.mark.parametrize("verb", ["purge", "backfill"])
def test_a_run_goes_on_from_its_list(database: Database, verb: str) -> None:
    """Limit by limit, as one run, with the values and rows of its start; then the list is gone."""
    make(database)
    gone = oldest(database)
    values = dict(database.rows(f"SELECT id, {DOUBLED.partition(' = ')[2]} FROM t"))
    options = {"set": [DOUBLED], "where": OLDEST} if verb == "backfill" else {"where": OLDEST}
    run = {"purge": library.purge, "backfill": library.backfill}[verb]
    ended = [run(url=database.url, table="t", batch_size=20, allow=["scan"], max_rows=120, **options) for _ in range(3)]
    assert [(one.reason, one.run, one.rows) for one in ended[:2]] == [
        ("max-rows", ended[0].run, 120), ("max-rows", ended[0].run, 240),
    ]  # fmt: skip
    assert (ended[2].reason, ended[2].run, ended[2].rows) == ("done", ended[0].run, 300)
    if verb == "purge":
        assert set(database.column("SELECT id FROM t")) == set(values) - gone
    else:
        assert dict(database.rows("SELECT id, n FROM t")) == {
            key: new if key in gone else key % 10 for key, new in values.items()
        }
    assert lists(database) == []


@pytest.mark.full
def test_the_time_of_the_list_counts(database: Database) -> None:
    """A run that has no time left after it keeps the list for the next one."""
    make(database)
    first = purge(database, max_time="1ms")
    assert (first.reason, first.rows, first.seconds >= 0.001) == ("max-time", 0, True), first
    assert len(lists(database)) == 1
    second = purge(database)
    assert (second.reason, second.run, second.rows) == ("done", first.run, 300), second


def test_a_list_that_is_not_complete_is_made_again(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    make(database)
    gone = oldest(database)

    def fails(*_: object) -> None:
        raise RuntimeError("as if the process had died here")

    with monkeypatch.context() as patched:
        patched.setattr("batchops.ledger.ledger.Ledger.save_pinned", fails)
        with pytest.raises(RuntimeError):
            purge(database)
    assert len(lists(database)) == 1
    second = purge(database)
    assert (second.reason, second.run, second.rows) == ("done", 1, 300)
    assert set(database.column("SELECT id FROM t")).isdisjoint(gone)
    third = purge(database, restart=True)  # which clears up
    assert (third.rows, lists(database)) == (300, [])


def test_prune_removes_lists_that_no_run_needs(database: Database, batchops: Batchops) -> None:
    make(database)
    purge(database, max_rows=40)
    (needed,) = lists(database)
    for name in ("batchops_list_999_abc", f"batchops_list_{needed.split('_')[2]}_0", "batchops_list_of_mine"):
        database.execute(f"CREATE TABLE {name} (id integer)")
    pruned = batchops("ledger", "prune", "--url", database.url)
    assert "2 lists of rows" in pruned.out
    assert sorted(lists(database)) == sorted([needed, "batchops_list_of_mine"])
    assert purge(database).rows == 300


def test_a_dry_run_makes_no_list(database: Database, batchops: Batchops) -> None:
    make(database)
    plan = batchops("purge", "t", "--where", OLDEST, "--url", database.url, "--dry-run")
    assert plan.code == 0, plan
    assert "evaluated once" in plan.out + plan.err
    assert lists(database) == []
    assert not sa.inspect(database.engine).has_table("batchops_run")


@pytest.mark.wide(1)
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("family", ["postgresql", "mariadb", pytest.param("sqlite", marks=pytest.mark.full)])
def test_a_race(new_database: NewDatabase, family: str, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """While others write: what nobody else touched is gone, what was changed since the list stays and is named."""
    monkeypatch.setattr("batchops.bulk.strategies.key.WORTH_SPLITTING", 200)
    database, events, guard = new_database(family), list[Rejected](), threading.Lock()
    race.make(database)

    def listen(event: object) -> None:
        if isinstance(event, Rejected):
            with guard:
                events.append(event)

    where = "id IN (SELECT j.id FROM jobs AS j WHERE j.status = 'old')"
    with Writers(database) as writers:
        done = library.purge(
            url=database.url, table="jobs", where=where, workers=workers, batch_size=40, sleep="3ms",
            allow=["triggers", "scan"], on_event=listen,
        )  # fmt: skip
    assert (done.reason, done.strategy) == ("incomplete", "list"), done
    assert race.touched_wrongly(database, "status = 'old'") == []
    assert race.forgotten(database, "status = 'old'") == []
    assert done.rows == database.scalar("SELECT count(*) FROM shadow WHERE own = 1")
    assert {event.reason for event in events} == {CHANGED}
    named = {int(event.key.removeprefix("id=")) for event in events}
    assert named <= set(database.column("SELECT id FROM shadow WHERE own = 0")), "somebody has changed each"
    assert named.isdisjoint(database.column("SELECT id FROM shadow WHERE own = 1"))
    assert sum(writers.writes.values()) > 5, "the race did not take place"


def test_a_role_that_may_only_delete(postgresql: Database) -> None:
    """Without the right to lock rows: the writing statement itself proves each, and what it left is named."""
    make(postgresql)
    first = min(oldest(postgresql))
    with role(postgresql, "SELECT, DELETE") as url:
        options = {"url": url, "table": "t", "where": OLDEST, "batch_size": 40}
        with pytest.raises(RefusedError, match="may not use the ledger") as refused:
            library.purge(**options)
        postgresql.script(next(line for line in refused.value.hint.splitlines() if line.startswith("GRANT")))
        with held(postgresql, f"UPDATE t SET n = n + 1 WHERE id = {first}"):
            done = library.purge(**options)
    assert (done.reason, done.rows, done.rejected) == ("incomplete", 299, 1), done
    assert postgresql.scalar(f"SELECT count(*) FROM t WHERE id = {first}") == 1


@pytest.mark.parametrize("family", ["postgresql", "mariadb"])
def test_a_role_that_may_not_make_the_list(new_database: NewDatabase, family: str) -> None:
    """The ledger is there for it; the GRANT that the refusal prints is enough."""
    server = new_database(family)
    make(server)
    library.purge(url=server.url, table="t", where="id < 0")
    with role(server, "SELECT, DELETE, UPDATE") as url:
        name = sa.make_url(url).username
        tables = [table for table in sa.inspect(server.engine).get_table_names() if table.startswith("batchops_")]
        server.script(";".join(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {name}" for table in tables))
        if server.backend == "postgresql":
            server.script(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}")
        with pytest.raises(RefusedError, match="may not make the table that lists the rows") as refused:
            library.purge(url=url, table="t", where=OLDEST)
        assert len(oldest(server)) == 300
        server.script(refused.value.hint.splitlines()[-1])
        done = library.purge(url=url, table="t", where=OLDEST)
    assert (done.reason, done.rows, lists(server)) == ("done", 300, []), done


def test_a_run_whose_list_is_gone(database: Database) -> None:
    make(database)
    purge(database, max_rows=40)
    database.execute(f"DROP TABLE {lists(database)[0]}")
    with pytest.raises(RefusedError, match="lists the rows of the run, is gone") as refused:
        purge(database)
    assert "--restart" in refused.value.hint
    assert purge(database, restart=True).rows == 300


def test_a_table_that_another_one_inherits(postgresql: Database) -> None:
    """The same key may be in both."""
    make(postgresql)
    postgresql.script("CREATE TABLE heir () INHERITS (t); INSERT INTO heir SELECT * FROM t")
    refused = purge(postgresql)
    assert (refused.exit, refused.rows, lists(postgresql)) == (12, 0, []), refused
    assert postgresql.scalar("SELECT count(*) FROM t") == 2_000


def test_rows_that_the_run_itself_changes(database: Database) -> None:
    """A foreign key to the table itself sets them, which is no change by others; what others change still stays."""
    database.script(
        "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, age integer NOT NULL, n integer, "
        "FOREIGN KEY (n) REFERENCES t (id) ON DELETE SET NULL)"
    )
    database.execute(f"INSERT INTO t SELECT i, 1000 - i, NULL FROM {numbers(database, 1_000)}")
    database.execute("UPDATE t SET n = id - 1 WHERE id > 1")
    assert oldest(database) == set(range(1, 301))
    # The row before 241 goes in the batch before.
    act = at_batch(1, lambda: database.execute("UPDATE t SET age = -1 WHERE id IN (241, 300)"))
    done = purge(database, allow=["cascades", "fk-index", "scan"], on_event=act)
    assert (done.reason, done.rows, done.rejected) == ("incomplete", 298, 2), done
    assert database.rows("SELECT id, n FROM t WHERE id <= 302 ORDER BY id") == [
        (241, None), (300, None), (301, 300), (302, 301),
    ]  # fmt: skip
    assert done.error is not None
    assert "by other sessions or by this run's own foreign key of t (n), and left alone" in done.error.message
