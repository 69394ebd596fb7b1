"""Outboxes without a number: relayed in the order that other columns tell, or in none; and what cannot be proved."""

import json
import time
from collections import defaultdict
from pathlib import Path

import pytest

from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.outbox.boxes import delivered, relay
from tests.outbox.frameworks import FRAMEWORKS, Framework
from tests.queue.jobs import here
from tests.services.database import FAMILIES, Database

pytestmark = pytest.mark.in_turn


def left(database: Database, framework: Framework) -> int:
    count: int = database.scalar(f"SELECT count(*) FROM outbox WHERE {framework.left}")
    return count


def firsts(path: Path) -> dict[str, list[int]]:
    """What was delivered for the first time, by aggregate, in its order."""
    found: dict[str, list[int]] = defaultdict(list)
    for line in delivered(path):
        number = json.loads(line["body"])["n"]
        if number not in found[line["key"]]:
            found[line["key"]].append(number)
    return found


def right(path: Path, framework: Framework, events: int) -> None:
    """Nothing is lost, and each aggregate's events came in order where order is promised."""
    found = firsts(path)
    assert sorted(number for numbers in found.values() for number in numbers) == list(range(events))
    assert not framework.ordered or all(numbers == sorted(numbers) for numbers in found.values())


@pytest.mark.wide(2)
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_frameworks_table_is_relayed(database: Database, tmp_path: Path, name: str) -> None:
    framework, out = FRAMEWORKS[name], tmp_path / "out"
    framework.make(database)
    for last in (40, 80, 120):
        framework.write(database, last - 40, last)
    plan = here("relay", "outbox", "--url", database.url, "--to", f"file:{out}", *framework.args, "-n").out
    assert ("none: each event by itself" in plan, "rests on" in plan) == (not framework.ordered, framework.ordered)
    done = relay(database, f"file:{out}", "--batch-size", "25", *framework.args)
    assert (done.code, done.json()["rows"], left(database, framework)) == (0, 120, 0), done
    right(out, framework, 120)
    assert len({line["id"] for line in delivered(out)}) == 120
    told = here("outbox", "check", "outbox", "--url", database.url, *kept(framework.args))
    assert (told.code, "cannot be proved" in told.out or "column that tells" in told.out) == (3, True), told
    if "--after-delivery" not in framework.args:
        to = ("--to", f"file:{tmp_path}/again", "--all-events", "--batch-size", "7", "--json")
        again = here("outbox", "replay", "outbox", "--url", database.url, *to, *framework.args)
        assert (again.code, again.json()["rows"]) == (0, 120), again
        right(tmp_path / "again", framework, 120)


def kept(args: tuple[str, ...]) -> tuple[str, ...]:
    """Without what only a relay takes."""
    return args[:-4] + args[-2:] if "--after-delivery" in args[-4:] else args


QUICK = {("modulith", "postgresql"), ("eventuate", "mariadb")}
KILLED = [
    pytest.param(name, family, marks=[] if (name, family) in QUICK else pytest.mark.full)
    for name in FRAMEWORKS
    for family in FAMILIES
]


@pytest.mark.wide(1)
@pytest.mark.parametrize(("name", "family"), KILLED)
def test_killed_relays_lose_nothing_of_it(
    batchops: Batchops, new_database: NewDatabase, tmp_path: Path, name: str, family: str
) -> None:
    """Each time it has delivered some more it is killed; what was written meanwhile is there in the end."""
    database, framework, out = new_database(family), FRAMEWORKS[name], tmp_path / "out"
    framework.make(database)
    framework.write(database, 0, 100)
    args = ("relay", "outbox", "--url", database.url, "--to", f"file:{out}", "--batch-size", "5", *framework.args)
    for kill in range(1, 4):
        before = len(delivered(out))
        process = batchops.start(*args, "--poll", "50ms", "--sleep", "20ms", "-q")
        while len(out.read_bytes().splitlines() if out.exists() else []) < before + 12:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.kill()
        process.communicate()
        framework.write(database, 100 * kill, 100 * (kill + 1))
    done = relay(database, f"file:{out}", *framework.args)
    assert (done.code, left(database, framework)) == (0, 0), done
    right(out, framework, 400)


def test_an_event_that_comes_in_before_all_others_is_not_skipped(
    batchops: Batchops, postgresql: Database, tmp_path: Path
) -> None:
    """In an order that is no number an event may come in anywhere: there is no mark behind which nobody looks."""
    framework, out = FRAMEWORKS["modulith"], tmp_path / "out"
    framework.make(postgresql)
    framework.write(postgresql, 100, 150)
    to = ("--to", f"file:{out}", "--poll", "50ms", "-q")
    process = batchops.start("relay", "outbox", "--url", postgresql.url, *to, *framework.args)
    begun = time.monotonic()
    for number in range(50):
        framework.write(postgresql, 99 - number, 100 - number)
        while len(delivered(out)) < 51 + number:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        if time.monotonic() - begun > 4.0:
            break
    process.terminate()
    assert process.wait(60) == 0


def test_a_refused_event_of_any_id_is_known_again(database: Database, tmp_path: Path) -> None:
    """By its id as text, whatever the type: it waits alone, and is put back alone."""
    framework, out = FRAMEWORKS["wolverine"], tmp_path / "out"
    framework.make(database)
    framework.write(database, 0, 3)
    once = ("--max-attempts", "1", "--on-failed", "dead-letter")
    done = relay(database, f"file:{out}", "--topic", "{deliver_by}", *framework.args, *once)  # which is NULL
    assert (done.code, done.json()["dead_letters"], left(database, framework)) == (3, 3, 3), done
    shown = here("outbox", "show", "outbox", "--url", database.url, *kept(framework.args), "--json").json()
    assert (shown["refused"], shown["backlog"]) == ({"dead": 3}, 0)
    one = shown["events"][0]["event"]
    back = here("outbox", "redrive", "outbox", "--url", database.url, *kept(framework.args), "--event", one)
    assert back.code == 0, back
    done = relay(database, f"file:{out}", *framework.args)
    assert (done.code, [line["id"] for line in delivered(out)], left(database, framework)) == (0, [one], 2), done


ORDERS = {
    "random": ("", 0, "sent by itself, in no order"),
    "random, asked": ("--order id", 12, "has no order"),
    "the id, asked": ("--id id", 12, "has no order"),
    "none": ("--order none", 0, ""),
    "a time": ("--order created_at,id", 0, "start of each transaction"),
    "a time as the id": ("--id created_at", 0, "start of each transaction"),
    "the clock": ("--order written_at,id", 0, 'same written_at are ordered by "id"'),
    "the application": ("--order told_at,id", 0, "as exact as their clocks"),
    "no column": ("--order nothing,id", 2, 'no column "nothing"'),
    "json": ("--order payload,id", 12, "cannot be put in order"),
}


@pytest.mark.wide(2)
@pytest.mark.parametrize("case", ORDERS)
def test_what_the_order_rests_on_is_said(postgresql: Database, case: str) -> None:
    args, code, words = ORDERS[case]
    postgresql.execute(
        "CREATE TABLE outbox (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregate_id text, payload json,"
        " created_at timestamptz NOT NULL DEFAULT now(), written_at timestamptz NOT NULL DEFAULT clock_timestamp(),"
        " told_at timestamptz NOT NULL, sent_at timestamptz)"
    )
    done = here("relay", "outbox", "--url", postgresql.url, "--to", "file:/dev/null", *args.split())
    assert (done.code, words in done.err) == (code, True), done


def test_ties_and_clocks_in_the_check(postgresql: Database, tmp_path: Path) -> None:
    postgresql.execute(
        "CREATE TABLE outbox (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregate_id text, payload text,"
        " created_at timestamptz NOT NULL DEFAULT now(), written_at timestamptz NOT NULL DEFAULT clock_timestamp(),"
        " sent_at timestamptz)"
    )
    write = "INSERT INTO outbox (aggregate_id, payload) SELECT 'a', 'x' FROM generate_series(1, 3)"
    postgresql.execute(write)
    check = ("outbox", "check", "outbox", "--url", postgresql.url, "--order")
    tied = here(*check, "created_at,id")
    assert (tied.code, "came first cannot be proved\n" in tied.out) == (3, True), tied
    assert here(*check, "written_at,id").code == 0
    assert here(*check, "none").code == 0
    assert relay(postgresql, f"file:{tmp_path}/out", "--order", "written_at,id").code == 0
    late = "UPDATE outbox SET sent_at = NULL WHERE id = (SELECT id FROM outbox ORDER BY written_at LIMIT 1)"
    postgresql.execute(late)
    passed = here(*check, "written_at,id")
    assert (passed.code, "are unsent, though a later one" in passed.out) == (13, True), passed


def test_an_aggregate_is_not_needed_where_no_order_is(sqlite: Database, tmp_path: Path) -> None:
    sqlite.execute("CREATE TABLE outbox (id text NOT NULL PRIMARY KEY, payload text, sent_at timestamp)")
    sqlite.execute("INSERT INTO outbox (id, payload) VALUES ('b', 'x'), ('a', 'y')")
    refused = relay(sqlite, f"file:{tmp_path}/out")
    assert (refused.code, "--order none" in refused.json()["error"]["hint"]) == (2, True), refused
    assert relay(sqlite, f"file:{tmp_path}/out", "--order", "none").code == 0
    assert [line["key"] for line in delivered(tmp_path / "out")] == ["a", "b"]


def test_uuids_by_their_version(postgresql: Database, mariadb: Database) -> None:
    """Those of version 7 sort by time everywhere, those of version 1 in MariaDB's own type alone."""
    of_seven = [f"0195{n:04x}-0000-7000-8000-{n:012x}" for n in range(5)]
    of_one = [f"{n:08x}-0000-1000-8000-00000000000{n}" for n in range(5)]
    for database, type_, ids, code in (
        (postgresql, "uuid", of_seven, 0),
        (postgresql, "text", of_one, 12),
        (mariadb, "char(36)", of_one, 12),
        (mariadb, "uuid", of_one, 0),
        (mariadb, "binary(16)", [], 0),
    ):
        database.execute("DROP TABLE IF EXISTS outbox")
        database.execute(
            f"CREATE TABLE outbox (id {type_} NOT NULL PRIMARY KEY, aggregate_id int, payload int, sent bool)"
        )
        for id_ in ids:
            database.execute(f"INSERT INTO outbox (id, aggregate_id, payload) VALUES ('{id_}', 1, 1)")
        done = relay(database, "file:/dev/null", "--order", "id")
        assert done.code == code, (type_, done)
