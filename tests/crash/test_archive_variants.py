"""Archives under changes by others and after takeovers: the right code passes what each wrong variant fails."""

import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.bulk.archiving.archived import lines_in
from tests.command import Batchops
from tests.crash.scenario import LINGERING, batches_done, make, stop_between_batches, wait_for_work
from tests.crash.test_archive import WHERE, wrong
from tests.crash.variants import Variant
from tests.leases import expired
from tests.services.database import Database
from tests.waiting import ended, until


@pytest.fixture
def variant(request: pytest.FixtureRequest, batchops: Batchops) -> Iterator[Variant]:
    with closing(Variant(batchops.home, request.param)) as variant:
        yield variant


@pytest.fixture
def filled(postgresql: Database) -> Database:
    make(postgresql)
    return postgresql


def command(database: Database, folder: Path, *more: str) -> tuple[str, ...]:
    return ("archive", "t", "--where", WHERE, "--to", f"{folder}/", "--url", database.url, "-y", "--json", *more)


def changed_meanwhile(batchops: Batchops, database: Database, folder: Path) -> str | None:
    """What is wrong after rows were changed, and made to match no more, while they were archived."""
    database.script("CREATE TABLE log (id integer, kind integer, touched integer)")
    over = threading.Event()

    def change() -> None:
        turn = 0
        while not over.is_set():
            turn += 1
            database.execute(
                "WITH one AS (UPDATE t SET touched = touched + 1, kind = CASE WHEN id % 5 = 0 THEN 9 ELSE kind END "
                f"WHERE id % 40 = {turn % 40} RETURNING id, kind, touched) INSERT INTO log SELECT * FROM one"
            )

    writer = threading.Thread(target=change)
    writer.start()
    try:
        slow = ("--batch-size", "100", "--strategy", "key", "--sleep", "10ms")
        done = ended(batchops.start(*command(database, folder, *slow)))
    finally:
        over.set()
        writer.join()
    assert done.code == 0, done
    last = {
        row[0]: (row[1], row[2]) for row in database.rows("SELECT id, max(kind), max(touched) FROM log GROUP BY id")
    }
    archived = [tuple(int(field) for field in line.split(b"\t")) for line in lines_in(folder)]
    stale = [row for row in archived if row[0] in last and row[1:] != last[row[0]]]
    unmatched = [row for row in archived if row[1] >= 4]
    lost = wrong(database, folder)
    return f"{len(stale)} stale, {len(unmatched)} that do not match, {lost}" if stale or unmatched or lost else None


def taken_over_twice(batchops: Batchops, database: Database, folder: Path) -> str | None:
    """What is wrong after a run was stopped, taken over, and woken up while its successor had not sealed yet."""
    first = batchops.start(*command(database, folder, "--lease", "1h", *LINGERING))
    wait_for_work(first, database)
    stop_between_batches(first, database)
    expired(database, "batchops_lease")
    before = batches_done(database)
    second = batchops.start(*command(database, folder, "--lease", "1h", *LINGERING))
    wait_for_work(second, database, before + 2)
    second.kill()
    second.wait()
    first.send_signal(signal.SIGCONT)
    until(lambda: first.poll() is not None)
    assert ended(first).code == 11
    third = batchops(*command(database, folder))
    return f"exit {third.code}: {third.err}" if third.code else wrong(database, folder)


@pytest.mark.full
def test_changed_meanwhile(batchops: Batchops, filled: Database, tmp_path: Path) -> None:
    assert changed_meanwhile(batchops, filled, tmp_path / "a") is None


@pytest.mark.full
@pytest.mark.parametrize("variant", ["window", "unconditional"], indirect=True)
def test_changed_meanwhile_finds_what_is_wrong(variant: Variant, filled: Database, tmp_path: Path) -> None:
    assert changed_meanwhile(variant, filled, tmp_path / "a") is not None


@pytest.mark.full
@pytest.mark.in_turn
def test_taken_over_twice(batchops: Batchops, filled: Database, tmp_path: Path) -> None:
    assert taken_over_twice(batchops, filled, tmp_path / "a") is None


@pytest.mark.full
@pytest.mark.in_turn
@pytest.mark.parametrize("variant", ["appended"], indirect=True)
def test_taken_over_twice_finds_an_append_after_a_takeover(
    variant: Variant, filled: Database, tmp_path: Path
) -> None:  # fmt: skip
    assert taken_over_twice(variant, filled, tmp_path / "a") is not None
