"""Where files are made that go elsewhere: nothing of it is left behind."""

import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from batchops.archive.destination import FolderDestination
from batchops.archive.s3 import BucketAddress, S3Destination
from batchops.archive.staging import StagingFolder

_KILLED = (
    "import os, signal; from batchops.archive.staging import StagingFolder as S; s = S(); print(s.path, flush=True); "
)


def test_what_a_killed_process_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = _KILLED + "os.kill(os.getpid(), signal.SIGKILL)"
    killed = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"TMPDIR": str(tmp_path)}, capture_output=True
    )
    left = Path(killed.stdout.decode().strip())
    (left / "rows").touch()
    mine = StagingFolder()
    for path in (left, mine.path):
        os.utime(path, (0, 0))
    assert left.exists()
    other = StagingFolder()
    assert (left.exists(), mine.path.exists()) == (False, True)
    path = other.path
    del other
    assert not path.exists()


def test_workers_that_ask_for_the_folder_at_once_have_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of a worker that came first must not go as another one's is made."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    settings = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "none", "AWS_REGION": "us-east-1"}
    destination, workers = S3Destination(BucketAddress("bucket"), settings), 3
    made, together = tempfile.mkdtemp, threading.Barrier(workers)

    def all_at_once(**more: str) -> str:
        with suppress(threading.BrokenBarrierError):
            together.wait(0.2)  # those that wait for one another here have each found none
        return made(**more)

    monkeypatch.setattr("tempfile.mkdtemp", all_at_once)
    with ThreadPoolExecutor(workers) as threads:
        folders = [*threads.map(lambda _: destination.staging(), range(workers))]
    assert len({*folders}) == 1
    assert folders[0].is_dir()


def test_a_run_that_ends_leaves_the_folder_of_unfinished_files_to_another_one(tmp_path: Path) -> None:
    """Both archive into one folder; the last that ends removes it."""
    ended, at_work = FolderDestination(tmp_path), FolderDestination(tmp_path)
    folder = at_work.staging()
    assert ended.staging() == folder
    ended.remove_staging()
    (folder / "rows").touch()
    at_work.publish(folder / "rows", "t/rows")
    at_work.remove_staging()
    assert [path.name for path in tmp_path.iterdir()] == ["t"]
    assert ended.staging().is_dir()
