"""kill -9 at every step of an archive that drops partitions: the rows are in the table, in the archive, or named."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.bulk.archiving.partitioned import ROWS, arguments, make, partitions, tables, wrong
from tests.bulk.archiving.test_partitions import detached
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.crash.test_steps import able  # noqa: F401  a fixture
from tests.figures import Figures
from tests.services.database import Database
from tests.waiting import until

SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'batchops'"
STEPS = 4_000
FULL = (pytest.mark.full, pytest.mark.timeout(1800))
CALLS = [("sendto", 120), ("link", 4)]
"""What a process does that others can see, messages to the server and files, and how many of these make a step."""
EVERY_CALL = [("sendto", 5), ("fsync", 1), ("link", 1), ("unlink", 1)]


def killed_at(batchops: Batchops, database: Database, folder: Path, call: str, step: int) -> bool:
    """Whether a run was killed before that call; it has a covered partition, and one in which some rows match."""
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
    strace += ["-e", f"inject={call}:signal=KILL:when={step}"]
    argv = batchops.argv(*arguments(database, folder, "-q", "--where", "made < '2025-02-10'"))
    environment = batchops.environment()
    done = subprocess.run([*strace, *argv], capture_output=True, text=True, cwd=batchops.home, env=environment)
    assert done.returncode in (0, -9, 137), done
    until(lambda: not database.scalar(SESSIONS))  # the server may still be at the last statement
    return done.returncode != 0


def forgotten(database: Database) -> list[str]:
    """Tables that are neither partitions nor named in the ledger."""
    known = database.scalar("SELECT count(*) FROM pg_class WHERE relname = 'batchops_run'")
    named = detached(database) if known else []
    return sorted({*tables(database)} - {*partitions(database)} - {*named})


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize(
    ("call", "stride"), [*CALLS, *(pytest.param(call, stride, marks=FULL) for call, stride in EVERY_CALL)]
)
def test_killed_at_every_step(
    batchops: Batchops, new_database: NewDatabase, tmp_path: Path, call: str, stride: int, figures: Figures
) -> None:  # fmt: skip
    kills = left_detached = goes_through = 0
    for step in range((stride + 1) // 2, STEPS, stride):
        database, folder = new_database("postgresql"), tmp_path / str(step)
        make(database)
        if not killed_at(batchops, database, folder, call, step):
            goes_through = step
            break
        kills += 1
        assert not forgotten(database), step
        left_detached += bool({*tables(database)} - {*partitions(database)})
        done = batchops(*arguments(database, folder, "--json", "--where", "made < '2025-02-10'"))
        assert done.code == 0, (step, done)
        assert not forgotten(database), step
        assert "ev_1" not in tables(database), step
        assert 0 < database.scalar("SELECT count(*) FROM ev_2") < ROWS
        found = wrong(database, folder)
        assert found is None, (step, found)
        shutil.rmtree(folder)
    figures(kills=kills, left_detached=left_detached, first_step_to_go_through=goes_through)
    assert kills
    assert goes_through
