"""`archive --to s3://…`: rows are uploaded first, and deleted only where they are as they were uploaded."""

import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import batchops as library
from batchops.archive.destination import open_destination
from batchops.archive.records import Sidecar
from tests.bulk.archiving import partitioned as parted
from tests.bulk.archiving.bucket import SECRET, Bucket
from tests.bulk.plan.situations import numbers
from tests.command import Batchops, Result, here
from tests.crash.scenario import MATCHING, ROWS, make
from tests.services.database import Database
from tests.services.http_proxy import Answer, HttpProxy, Request, refusal
from tests.services.s3 import new_bucket
from tests.services.server import Server
from tests.waiting import ended, until

WHERE = "kind < 4"
EVERY = {str(i) for i in range(1, ROWS + 1)}
SIDECAR = re.compile(r"/run-\d+/[^/]+\.(parquet|zst|gz)\.json$")
DELETED = re.compile(r"\.deleted\.json$")
SEGMENT = re.compile(r"/run-\d+/[^/]+\.(parquet|zst|gz)$")


@pytest.fixture
def bucket(service: Callable[[str], Server]) -> Iterator[Bucket]:
    store = service("s3")
    with HttpProxy(store.url) as proxy:
        yield Bucket(new_bucket(store), proxy)


@pytest.fixture
def filled(database: Database) -> Database:
    make(database)
    return database


@pytest.fixture
def small(sqlite: Database) -> Database:
    make(sqlite)
    return sqlite


def archive(database: Database, bucket: Bucket, *more: str, where: str = WHERE, code: int = 0) -> Result:
    words = ("--where", where, "--to", bucket.url, "--url", database.url, "-y", *more)
    with bucket.reached():
        done = here("archive", "t", *words)
    assert done.code == code, done
    assert SECRET not in done.out + done.err
    return done if "--json" in more else Result(done.code, "", done.out + done.err)


def verify(bucket: Bucket, *more: str) -> Result:
    with bucket.reached():
        return here("archive", "verify", bucket.url, *more)


def ids(database: Database, table: str = "t") -> set[str]:
    return {str(row) for row in database.column(f"SELECT id FROM {table}")}


def at_each(bucket: Bucket, method: str, name: re.Pattern[str], do: Callable[[Request], Answer | None]) -> None:
    """Treat the requests about such objects."""

    def treat(request: Request) -> Answer | None:
        return do(request) if request.method == method and name.search(request.path.partition("?")[0]) else None

    bucket.proxy.treat = treat


@pytest.mark.in_turn
@pytest.mark.parametrize("format", ["jsonl", pytest.param("parquet", marks=pytest.mark.full),
                                    pytest.param("csv", marks=pytest.mark.full)])  # fmt: skip
def test_rows_go_and_come_back(filled: Database, bucket: Bucket, format: str) -> None:
    rows = filled.rows(f"SELECT id, kind, touched FROM t WHERE {WHERE} ORDER BY id")
    done = archive(filled, bucket, "--format", format, "--segment-size", "64KiB", "--workers", "3", "--json").json()
    assert (done["rows"], done["unsealed"], done["to"]) == (MATCHING, 0, bucket.url)
    assert ids(filled) | set(bucket.rows()) == EVERY
    assert not ids(filled) & set(bucket.rows())
    proven = verify(bucket, "--against", filled.url)
    assert (proven.code, f"none of {MATCHING:,} rows is in the table" in proven.out) == (0, True), proven
    with bucket.reached():
        assert str(MATCHING // 1000) in here("archive", "list", bucket.url).out
        asked = here("archive", "query", bucket.url, "SELECT count(*), sum(id) FROM t").out
        assert asked.splitlines()[1] == f"{len(rows)},{sum(row[0] for row in rows)}"
        restored = library.restore(destination=bucket.url, url=filled.url, into="again")
    assert restored.reason == "done"
    assert filled.rows("SELECT id, kind, touched FROM again ORDER BY id") == rows


def test_what_is_copied_and_uploaded_is_told(small: Database, bucket: Bucket) -> None:
    """Until then no batch is committed, and nobody would know what takes so long."""
    told: list[library.Event] = []
    with bucket.reached():
        library.archive(table="t", url=small.url, where=WHERE, to=bucket.url, on_event=told.append)
    before = told[: next(place for place, event in enumerate(told) if isinstance(event, library.Committed))]
    copied = [event for event in before if isinstance(event, library.Copied)]
    assert (copied[0].uploading, copied[0].rows > 0) == (False, True)
    assert (copied[-1].uploading, copied[-1].rows) == (True, MATCHING)


def test_a_run_that_a_limit_ends_uploads_little_that_stays(sqlite: Database, bucket: Bucket) -> None:
    """Else a clean-up of ten seconds a night uploads a whole segment each time, and deletes a batch of it."""
    sqlite.script("CREATE TABLE t (id integer PRIMARY KEY, kind integer, words text)")
    sqlite.insert("t", ("id", "kind", "words"), [(n, 1, "0" * 4000) for n in range(3_000)])
    with bucket.reached():
        run = library.archive(
            table="t", url=sqlite.url, where=WHERE, to=bucket.url, format="jsonl", batch_size=20, max_batches=20
        )
        store = open_destination(bucket.url)
        records = [Sidecar.loaded(store.read(name)).record for name in store.names() if SIDECAR.search(f"/{name}")]
    assert run.reason == "max-batches"
    assert 300 < run.rows <= sum(record.rows for record in records) < 1000


def test_another_strategy_finds_all_rows_too(postgresql: Database, bucket: Bucket) -> None:
    """The condition reads another table for each row, so that the run changes its strategy, to one with keys."""
    postgresql.script("CREATE TABLE t (id integer PRIMARY KEY); CREATE TABLE k (t integer REFERENCES t (id))")
    postgresql.execute("INSERT INTO t SELECT generate_series(1, 800)")
    postgresql.execute("INSERT INTO k SELECT 1 FROM generate_series(1, 900)")
    more = ("--batch-size", "20", "--strategy", "key", "--format", "jsonl", "--allow", "scan")
    done = archive(postgresql, bucket, *more, where="id > 1 AND (SELECT count(*) FROM k WHERE k.t <> t.id) = 900")
    assert "The run continues with the strategy" in done.err
    assert ids(postgresql) == {"1"}
    assert len(bucket.rows()) == 799


@pytest.mark.in_turn
def test_a_listed_row_that_others_change_is_reported(database: Database, bucket: Bucket) -> None:
    """It is not as it was listed when it is to be copied."""
    database.script("CREATE TABLE t (id integer NOT NULL PRIMARY KEY, n integer, words varchar(2000))")
    database.execute(f"INSERT INTO t SELECT i, 0, '{'x' * 1_000}' FROM {numbers(database, 300)}")

    def change(_: Request) -> None:
        database.execute("UPDATE t SET n = 1 WHERE id = 290")

    at_each(bucket, "PUT", SIDECAR, change)
    more = ("--strategy", "list", "--segment-size", "64KiB", "--format", "jsonl", "--json")
    done = archive(database, bucket, *more, where="id < 295 AND n = 0", code=3).json()
    assert (done["reason"], database.scalar("SELECT count(*) FROM t")) == ("incomplete", 7)


@pytest.mark.in_turn
def test_what_changed_since_it_was_uploaded_is_not_deleted_as_it_was(filled: Database, bucket: Bucket) -> None:
    """One row is changed and still matches, one does not any more, one is gone, one is new under its old key."""
    changes = iter((
        "UPDATE t SET touched = 9 WHERE id = 7", "UPDATE t SET kind = 5 WHERE id = 14", "DELETE FROM t WHERE id = 21",
        "DELETE FROM t WHERE id = 28", "INSERT INTO t VALUES (28, 0, 4)",
    ))  # fmt: skip

    def change(_: Request) -> None:
        for statement in changes:
            filled.execute(statement)

    at_each(bucket, "PUT", SIDECAR, change)
    done = archive(filled, bucket, "--format", "jsonl", "--json").json()
    assert done["rows"] == MATCHING - 2
    assert filled.rows("SELECT id, kind FROM t WHERE id IN (7, 14, 21, 28)") == [(14, 5)]
    found = bucket.rows()
    assert (found["7"], found["14"], found["21"], found["28"], max(found.values())) == (1, 0, 0, 1, 1)
    proven = verify(bucket)
    assert (proven.code, "4 rows in files stayed in their tables" in proven.out) == (0, True), proven
    with bucket.reached():
        library.restore(destination=bucket.url, url=filled.url, into="again")
    assert filled.rows("SELECT id, touched FROM again WHERE id IN (7, 14, 21, 28) ORDER BY id") == [(7, 9), (28, 4)]


@pytest.mark.in_turn
def test_a_kill_between_upload_and_delete_loses_nothing(
    filled: Database, bucket: Bucket, batchops: Batchops
) -> None:  # fmt: skip
    killed = threading.Event()
    uploaded = threading.Event()

    def hold(_: Request) -> None:
        uploaded.set()
        killed.wait(60)

    at_each(bucket, "PUT", SIDECAR, hold)
    words = ("archive", "t", "--where", WHERE, "--to", bucket.url, "--url", filled.url, "-y", "--format", "jsonl")
    process = batchops.start(*words, env=bucket.env)
    assert uploaded.wait(60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed.set()
    bucket.proxy.treat = lambda _: None
    assert ids(filled) == EVERY
    assert not bucket.rows()
    told = verify(bucket, "--against", filled.url)
    assert (told.code, f"{MATCHING:,} rows in the table too" in told.out) == (3, True), told
    assert "may be in t too, as its run crashed or is at work" in told.out
    with bucket.reached():
        plan = here("restore", bucket.url, "--url", filled.url, "--into", "again", "-n")
        assert "may never have been deleted" in plan.out + plan.err
        restored = library.restore(destination=bucket.url, url=filled.url)  # what stands stays as it is
    assert (restored.rows, ids(filled)) == (0, EVERY)
    done = archive(filled, bucket, "--format", "jsonl", "--json").json()
    assert (done["rows"], done["unsealed"]) == (MATCHING, 0)
    assert ids(filled) | set(bucket.rows()) == EVERY
    assert max(bucket.rows().values()) == 1
    assert verify(bucket, "--against", filled.url).code == 0


@pytest.mark.full
@pytest.mark.parametrize("name", [SIDECAR, DELETED], ids=["before-the-deletes", "behind-them"])
def test_a_process_stopped_past_its_lease_says_nothing_once_it_wakes_up(
    postgresql: Database, bucket: Bucket, batchops: Batchops, name: re.Pattern[str]
) -> None:  # fmt: skip
    make(postgresql)
    held, go, first = threading.Event(), threading.Event(), threading.Lock()

    def hold(_: Request) -> None:
        if first.acquire(blocking=False):
            held.set()
            go.wait(60)

    at_each(bucket, "PUT", name, hold)
    words = ("archive", "t", "--where", WHERE, "--to", bucket.url, "--url", postgresql.url, "-y", "--lease", "1s")
    asleep = batchops.start(*words, "--format", "jsonl", env=bucket.env)
    assert held.wait(60)
    asleep.send_signal(signal.SIGSTOP)
    until(lambda: batchops(*words, "--format", "jsonl", env=bucket.env).code != 11)
    before = bucket.names()
    go.set()
    asleep.send_signal(signal.SIGCONT)
    assert ended(asleep)[0] == 11
    assert {one for one in bucket.names() if "manifests/" in one} == {one for one in before if "manifests/" in one}
    assert ids(postgresql) | set(bucket.rows()) == EVERY
    assert (sum(bucket.rows().values()), max(bucket.rows().values())) == (MATCHING, 1)
    assert verify(bucket, "--against", postgresql.url).code == 0


def test_a_store_that_lies_about_success_is_not_believed(small: Database, bucket: Bucket) -> None:
    at_each(bucket, "PUT", SEGMENT, lambda _: Answer(200, headers={"ETag": '"1"'}))
    failed = archive(small, bucket, "--format", "jsonl", code=13)
    assert "took t/run-000001/000001-" in failed.err
    assert ids(small) == EVERY
    at_each(bucket, "PUT", SEGMENT, lambda request: bucket.proxy.ask(Request("PUT", request.path, request.body[:9])))
    assert "gives back something else" in archive(small, bucket, "--format", "jsonl", code=13).err
    bucket.proxy.treat = lambda _: None
    assert ids(small) == EVERY
    assert archive(small, bucket, "--format", "jsonl", "--json").json()["rows"] == MATCHING
    assert verify(bucket).code == 0


@pytest.mark.full
def test_another_object_in_the_way_ends_in_13(small: Database, bucket: Bucket) -> None:
    def occupy(request: Request) -> None:
        bucket.proxy.ask(Request("PUT", request.path, b"another"))

    at_each(bucket, "PUT", SEGMENT, occupy)
    failed = archive(small, bucket, "--format", "jsonl", code=13)
    assert "with another content" in failed.err
    assert ids(small) == EVERY


@pytest.mark.full
def test_a_store_that_fails_for_a_while_is_waited_for(small: Database, bucket: Bucket) -> None:
    left = [5]

    def fail(_: Request) -> Answer | None:
        left[0] -= 1
        return refusal(503 if left[0] % 2 else 500, "SlowDown") if left[0] >= 0 else None

    at_each(bucket, "PUT", SEGMENT, fail)
    done = archive(small, bucket, "--format", "jsonl", "--json").json()
    assert (done["rows"], done["retries"] >= 1, left[0] < 0) == (MATCHING, True, True)
    bucket.proxy.treat = lambda _: refusal(503, "SlowDown")
    busy = archive(small, bucket, "--format", "jsonl", "--retry-timeout", "100ms", code=75)
    assert "the store answers SlowDown" in busy.err


def test_a_transfer_that_takes_too_long_says_what_needs_less(small: Database, bucket: Bucket) -> None:
    over = threading.Event()
    at_each(bucket, "PUT", SEGMENT, lambda _: over.wait(60) and None)
    with patch("batchops.archive.s3.ANSWER_SECONDS", 1), patch("batchops.archive.s3.RETRIES", 0):
        done = archive(small, bucket, "--format", "jsonl", "--retry-timeout", "100ms", code=75)
    over.set()
    assert "smaller --segment-size" in done.err, done
    assert ids(small) == EVERY


def test_a_restore_waits_for_a_store_that_fails_for_a_while(small: Database, bucket: Bucket) -> None:
    """Each file fails to be read at first: the first one, and one that is read while its forerunner is written."""
    for where in ("kind < 2", WHERE):
        archive(small, bucket, "--format", "jsonl", where=where)
    left: dict[str, int] = {}

    def fail(request: Request) -> Answer | None:
        left[request.path] = left.get(request.path, 5) - 1
        return refusal(503, "SlowDown") if left[request.path] >= 0 else None

    at_each(bucket, "GET", SEGMENT, fail)
    with bucket.reached():
        done = library.restore(destination=bucket.url, url=small.url, into="again")
    assert (done.reason, done.rows, len(left)) == ("done", MATCHING, 2)
    assert small.scalar("SELECT count(*) FROM again") == MATCHING


def test_what_cannot_be_reached_is_told_before_anything_is_read(small: Database, bucket: Bucket) -> None:
    nowhere = Bucket("nobody-has-this", bucket.proxy)
    assert "no bucket nobody-has-this" in archive(small, nowhere, "--dry-run", code=10).err
    bucket.proxy.treat = lambda _: refusal(403, "SignatureDoesNotMatch", f"wrong {SECRET}")
    refused = archive(small, bucket, code=10)
    assert "refuses the credentials (SignatureDoesNotMatch" in refused.err
    bucket.proxy.treat = lambda _: refusal(403, "AccessDenied")
    assert "s3:PutObject" in archive(small, bucket, code=12).err
    with bucket.reached(), patch.dict("os.environ", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}):
        away = here("archive", "t", "--where", WHERE, "--to", bucket.url, "--url", small.url, "-y")
    assert (away.code, "http://127.0.0.1:1 cannot be reached" in away.err) == (10, True), away
    password = here("archive", "t", "--all-rows", "--to", f"s3://AKIA:{SECRET}@b/p", "--url", small.url, "-y")
    assert (password.code, SECRET in password.err) == (2, False)
    with patch.dict(sys.modules, {"obstore": None, "obstore.store": None}):
        missing = archive(small, bucket, code=2)
    assert "pip install 'batchops[s3]'" in missing.err
    assert ids(small) == EVERY


@pytest.mark.full
def test_two_archivers_and_another_database(
    small: Database, bucket: Bucket, postgresql: Database, batchops: Batchops
) -> None:  # fmt: skip
    make(postgresql)
    words = ("archive", "t", "--to", bucket.url, "--url", postgresql.url, "-y", "--format", "jsonl")
    conditions = ("kind < 2", "kind BETWEEN 2 AND 3")
    both = [batchops.start(*words, "--where", where, env=bucket.env) for where in conditions]
    assert [ended(one)[0] for one in both] == [0, 0]
    assert ids(postgresql) | set(bucket.rows()) == EVERY
    assert sum(bucket.rows().values()) == MATCHING
    proven = verify(bucket, "--against", postgresql.url)
    assert (proven.code, "2 manifests" in proven.out) == (0, True), proven
    assert "belongs to the database at" in archive(small, bucket, code=12).err


@pytest.mark.full
def test_rows_that_are_refused_or_inexact_stay_and_are_named(postgresql: Database, bucket: Bucket) -> None:
    postgresql.script(
        "CREATE TABLE t (id text PRIMARY KEY, at timestamptz); CREATE TABLE child (t text REFERENCES t);"
        "CREATE INDEX ON child (t); INSERT INTO t SELECT 'é ' || i, now() FROM generate_series(1, 50) i;"
        "UPDATE t SET at = 'infinity' WHERE id = 'é 3'; INSERT INTO child VALUES ('é 5')"
    )
    done = archive(postgresql, bucket, "--format", "parquet", "--json", where="true", code=3).json()
    assert (done["rows"], done["rejected"]) == (48, 2)
    assert ids(postgresql) == {"é 3", "é 5"}
    assert len(bucket.rows()) == 48
    assert verify(bucket, "--against", postgresql.url).code == 0


@pytest.mark.full
def test_a_store_that_is_gone_at_the_end_is_told_later_which_rows_were_deleted(small: Database, bucket: Bucket) -> None:
    at_each(bucket, "PUT", DELETED, lambda _: refusal(503, "SlowDown"))
    failed = archive(small, bucket, "--format", "jsonl", "--retry-timeout", "100ms", "--json", code=75).json()
    assert "does not say yet which" in failed["error"]["message"]
    assert (failed["rows"], failed["unsealed"], len(ids(small))) == (MATCHING, MATCHING, ROWS - MATCHING)
    assert len(bucket.rows(undecided=True)) == MATCHING
    bucket.proxy.treat = lambda _: None
    again = archive(small, bucket, "--format", "jsonl", "--json").json()
    assert (again["unsealed"], ids(small) | set(bucket.rows())) == (0, EVERY)
    assert verify(bucket, "--against", small.url).code == 0


@pytest.mark.full
def test_rows_that_others_hold_or_no_key_names_stay(postgresql: Database, bucket: Bucket) -> None:
    make(postgresql)
    words = ("--format", "jsonl", "--lock-timeout", "300ms")
    with postgresql.engine.begin() as holder:
        holder.exec_driver_sql("SELECT 1 FROM t WHERE id IN (7, 14) FOR UPDATE")
        done = archive(postgresql, bucket, *words, "--json", code=3).json()
    assert (done["rows"], done["locked"], len(bucket.rows())) == (MATCHING - 2, 2, MATCHING - 2)
    assert archive(postgresql, bucket, *words, "--json").json()["rows"] == 2
    assert (ids(postgresql) | set(bucket.rows()), verify(bucket).code) == (EVERY, 0)
    assert "does not name rows by their key" in archive(postgresql, bucket, "--strategy", "block", code=12).err
    postgresql.execute("CREATE TABLE nameless AS SELECT * FROM t")
    with bucket.reached():
        nameless = here("archive", "nameless", "--all-rows", "--to", bucket.url, "--url", postgresql.url, "-y")
    assert (nameless.code, 'Rows of "nameless" cannot be named' in nameless.err) == (12, True)


@pytest.mark.full
def test_copies_stay(small: Database, bucket: Bucket) -> None:
    limited = archive(small, bucket, "--keep", "--format", "jsonl", "--max-rows", "250", "--json").json()
    done = archive(small, bucket, "--keep", "--format", "jsonl", "--json").json()
    assert (limited["rows"], done["rows"], ids(small)) == (250, MATCHING, EVERY)
    assert set(bucket.rows().values()) == {1}
    assert verify(bucket, "--against", small.url).code == 0


@pytest.fixture
def two_runs(small: Database, bucket: Bucket) -> Bucket:
    """A bucket with two runs of an object each, and the records of what was deleted."""
    for part in ("id <= 1000", "id > 1000"):
        archive(small, bucket, "--format", "jsonl", where=f"{WHERE} AND {part}")
    return bucket


def pruned(bucket: Bucket, *more: str) -> Result:
    with bucket.reached():
        return here("archive", "prune", bucket.url, "--run", "1", "-y", "--json", *more)


def test_a_prune_of_a_bucket_that_is_killed_between_any_two_removals(two_runs: Bucket, batchops: Batchops) -> None:
    """Before the first removal, then after one more each time; what is left is named, and the next prune goes on."""
    bucket, before = two_runs, two_runs.names()
    rows = sum(bucket.rows().values())
    known = {name for name in before if "run-000001" in name or name.endswith("/00000001.json")}
    steps = 0
    while True:
        process = batchops.start("archive", "prune", bucket.url, "--run", "1", "-y", env=bucket.env)
        removals = 0

        def kill(request: Request, process: Any = process, most: int = 1 + bool(steps)) -> Answer | None:
            nonlocal removals
            if not is_removal(request) or b"no-such-object" in request.body:
                return None
            removals += 1
            if removals < most:
                return None
            process.kill()
            return Answer(500)

        bucket.proxy.treat = kill
        code, out, err = ended(process)
        bucket.proxy.treat = lambda _: None
        left = sorted(known & {*bucket.names()})
        with bucket.reached():
            verified = here("archive", "verify", bucket.url, "--json")
        assert (verified.json()["damage"], sorted(verified.json()["half_pruned"])) == ([], left)
        assert verified.code == (3 if left else 0)
        steps += 1
        if code == 0:
            break
        assert code == -signal.SIGKILL, (code, out, err)
    assert steps >= len(known) - 1
    assert (left, {*before} - {*bucket.names()}) == ([], known)
    assert rows > sum(bucket.rows().values()) > 0


def is_removal(request: Request) -> bool:
    return request.method == "DELETE" or (request.method == "POST" and "delete" in request.path)


ONE_DENIED = b"<DeleteResult><Error><Key>%b</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"


@pytest.mark.parametrize("whole", [True, False])
def test_a_prune_that_the_store_refuses_changes_nothing(two_runs: Bucket, whole: bool) -> None:
    before = two_runs.names()
    each = Answer(200, ONE_DENIED % b"of one/test/no-such-object")
    answer = refusal(403, "AccessDenied") if whole else each
    two_runs.proxy.treat = lambda request: answer if is_removal(request) else None
    done = pruned(two_runs)
    assert (done.code, two_runs.names()) == (12, before), done
    assert "s3:DeleteObject" in done.out
    two_runs.proxy.treat = lambda _: None
    assert pruned(two_runs).code == 0
    assert [one for one in two_runs.names() if "run-000001" in one] == []


def test_whole_partitions_are_uploaded_before_they_are_dropped(postgresql: Database, bucket: Bucket) -> None:
    """A partition that somebody writes to during the upload is uploaded anew; the first objects do not count."""
    parted.make(postgresql)
    written = threading.Event()

    def write(_: Request) -> None:
        if not written.is_set():
            written.set()
            with suppress(Exception):  # the partition that is copied now is the only detached one
                postgresql.script("UPDATE ev_1 SET note = 'later'; UPDATE original SET note = 'later' "
                                  "WHERE made < '2025-02-01'")  # fmt: skip

    at_each(bucket, "PUT", SIDECAR, write)
    words = parted.arguments(postgresql, Path("unused"), "--to", bucket.url, "--json")
    with bucket.reached():
        done = here(*words)
        assert (done.code, done.json()["rows"]) == (0, parted.MONTHS * parted.ROWS), done
        assert written.is_set()
        assert parted.tables(postgresql) == ["ev_next"]
        assert parted.wrong(postgresql, bucket.url) is None
        assert len([name for name in bucket.names() if SEGMENT.search(name)]) == parted.MONTHS + 1


def test_a_bucket_that_refuses_leaves_the_partition_attached(postgresql: Database, bucket: Bucket) -> None:
    parted.make(postgresql)
    at_each(bucket, "PUT", SEGMENT, lambda _: refusal(403, "AccessDenied"))
    words = parted.arguments(postgresql, Path("unused"), "--to", bucket.url, "--json", "--retry-timeout", "0s")
    with bucket.reached():
        done = here(*words)
        assert done.code != 0, done
        assert len(parted.partitions(postgresql)) == parted.MONTHS + 1
        bucket.proxy.treat = lambda _: None
        done = here(*words)
        assert done.code == 0, done
        assert parted.wrong(postgresql, bucket.url) is None
