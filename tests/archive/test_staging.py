"""Where files are made that go elsewhere: nothing of it is left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
