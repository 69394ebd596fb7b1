"""kill -9 at every step: before the N-th write, sync or unlink of SQLite, N = 1, 2, 3 … until a run goes through."""

import shutil
import subprocess

import pytest

from tests.command import Batchops
from tests.crash.scenario import COUNT_UP, job, make
from tests.figures import Figures
from tests.services.database import Database

CALLS = "pwrite64,fdatasync,fsync,unlink,ftruncate"
STEPS = 400


def strace(at: int) -> list[str]:
    return [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        f"trace={CALLS}",
        "-e",
        f"inject={CALLS}:signal=KILL:when={at}",
    ]


@pytest.fixture(scope="module")
def able() -> None:
    """strace, where it is there and may be used."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    probe = subprocess.run([*strace(10_000), "true"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"strace may not be used here: {probe.stderr.strip()[:100]}")


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize(
    ("journal", "stride"),
    [
        ("wal", 120),
        *(pytest.param(j, 3, marks=[pytest.mark.full, pytest.mark.timeout(1800)]) for j in ("delete", "wal")),
    ],
)
def test_killed_at_every_step(
    batchops: Batchops, sqlite: Database, journal: str, stride: int, figures: Figures
) -> None:
    make(sqlite)
    sqlite.scalar(f"PRAGMA journal_mode = {journal}")
    killed = goes_through = 0
    for at in range(1, STEPS, stride):
        sqlite.execute("UPDATE t SET touched = 0")
        before = runs(sqlite)
        argv = [*strace(at), *batchops.argv(*job(sqlite, "-q", "--batch-size", "300", "--restart"))]
        done = subprocess.run(argv, capture_output=True, text=True, cwd=batchops.home, env=batchops.environment())
        if done.returncode == 0:
            goes_through = at
            break
        assert done.returncode in (-9, 137), done
        killed += 1
        began = before == 0 or runs(sqlite) > before
        again = batchops(*job(sqlite, "--json"))
        assert again.code == 0, (at, again)
        # Killed before it began, the run before it is the last one, which is done.
        wrong = COUNT_UP.wrong(sqlite) if began else sqlite.scalar("SELECT sum(touched) FROM t")
        assert not wrong, (at, wrong)
    figures(kills=killed, first_step_to_go_through=goes_through)
    assert killed >= 2
    assert goes_through


def runs(database: Database) -> int:
    """How many runs the ledger knows."""
    try:
        return int(database.scalar("SELECT count(*) FROM batchops_run"))
    except Exception as error:  # noqa: BLE001  killed before the ledger was made
        assert "batchops" in str(error)
        return 0
