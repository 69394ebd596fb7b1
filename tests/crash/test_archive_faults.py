"""Archives while things fail: the disk is full, COMMIT's answer is lost, an engine cannot roll back, a file is gone."""

import resource
from pathlib import Path

import pytest

from tests.bulk.archiving.archived import rows_in, spools_in
from tests.command import Batchops, here
from tests.crash.scenario import MATCHING, make
from tests.crash.test_archive import WHERE, wrong
from tests.services.database import Database
from tests.services.proxy import Mode, Proxy
from tests.waiting import ended, until

pytestmark = pytest.mark.in_turn


def command(url: str, folder: Path, *more: str) -> tuple[str, ...]:
    return ("archive", "t", "--where", WHERE, "--to", f"{folder}/", "--url", url, "-y", "--json", *more)


def no_larger_files() -> None:
    """A write beyond that fails, in the middle of a frame."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_the_disk_is_full_in_the_middle_of_a_frame(batchops: Batchops, postgresql: Database, tmp_path: Path) -> None:
    make(postgresql)
    to = tmp_path / "a"
    limited = batchops.start(
        *command(postgresql.url, to, "--batch-size", "500", "--format", "jsonl"), preexec_fn=no_larger_files,
        env={"PYTHONDONTWRITEBYTECODE": "1"},  # else it leaves behind what Python compiled, cut as well
    )  # fmt: skip
    done = ended(limited)
    assert (done.code, "cannot be written" in done.err) == (1, True), done
    left = postgresql.scalar(f"SELECT count(*) FROM t WHERE {WHERE}")
    assert 0 < left < MATCHING
    assert here(*command(postgresql.url, to, "--format", "jsonl")).code == 0
    assert wrong(postgresql, to) is None
    assert (sum(rows_in(to).values()), spools_in(to)) == (MATCHING, [])


@pytest.mark.wide(1)
@pytest.mark.parametrize("mode", ["cut_after", "cut_before"])
def test_every_third_commit_is_cut(batchops: Batchops, served: Database, tmp_path: Path, mode: Mode) -> None:
    to = tmp_path / "a"
    with Proxy(served.url, mode, every=3, of="delete") as proxy:
        done = batchops(*command(proxy.url, to, "--batch-size", "200"))
        assert proxy.cut >= 2
    assert (done.code, done.json()["rows"]) == (0, MATCHING), done
    assert wrong(served, to) is None
    assert sum(rows_in(to).values()) == MATCHING


def test_an_engine_that_cannot_roll_back(mariadb: Database, tmp_path: Path) -> None:
    make(mariadb)
    mariadb.execute("ALTER TABLE t ENGINE = Aria TRANSACTIONAL = 0")
    done = here(*command(mariadb.url, tmp_path / "a"))
    assert (done.code, "does not support transactions" in done.err) == (12, True), done


@pytest.mark.full
def test_a_spool_that_is_gone_is_named(batchops: Batchops, postgresql: Database, tmp_path: Path) -> None:
    make(postgresql)
    to = tmp_path / "a"
    process = batchops.start(*command(postgresql.url, to, "--batch-size", "100", "--sleep", "200ms"))
    until(lambda: len(spools_in(to)) > 0 and postgresql.scalar("SELECT count(*) FROM batchops_spool"), process)
    process.kill()
    process.wait()
    (spool,) = spools_in(to)
    (to / "spools" / spool).rename(tmp_path / spool)
    done = batchops(*command(postgresql.url, to))
    assert (done.code, spool in done.json()["error"]["message"]) == (13, True), done
    (tmp_path / spool).rename(to / "spools" / spool)
    assert batchops(*command(postgresql.url, to)).code == 0
    assert wrong(postgresql, to) is None


def test_a_copy_at_another_address_is_refused(postgresql: Database, tmp_path: Path) -> None:
    make(postgresql)
    to = tmp_path / "a"
    assert here(*command(postgresql.url, to, "--max-rows", "10")).code == 0
    marker = to / "batchops-archive.json"
    marker.write_text(marker.read_text().replace("127.0.0.1", "10.0.0.1"))
    done = here(*command(postgresql.url, to))
    assert (done.code, "restored copy" in done.json()["error"]["message"]) == (12, True), done
