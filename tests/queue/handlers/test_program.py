"""A program that cannot be started is told before the first row, and how to make it startable."""

from pathlib import Path

import pytest

from batchops.errors import UsageError
from batchops.queue.handlers.program import argv_of
from tests.queue.jobs import drain, jobs, leased, states
from tests.services.database import Database

SCRIPT = "#!/bin/sh\nexit 0\n"
BROKEN = {
    "not executable": (SCRIPT, 0o644, "is not executable", "chmod +x "),
    "no interpreter": ("#!/nowhere/pyton\n", 0o755, 'no interpreter "/nowhere/pyton"', "install pyton"),
    "env": ("#!/usr/bin/env -S pyton -u\n", 0o755, 'no interpreter "pyton"', "install pyton"),
    "Windows line ends": ("#!/bin/sh\r\nexit 0\r\n", 0o755, "carriage return", "Unix line ends"),
    "no first line": ("exit 0\n", 0o755, "names no interpreter", "#!/bin/sh"),
}


def written(folder: Path, text: str, mode: int) -> Path:
    path = folder / "my script"
    path.write_bytes(text.encode())
    path.chmod(mode)
    return path


@pytest.mark.parametrize("how", list(BROKEN))
def test_it_is_told_with_the_way_out(tmp_path: Path, how: str) -> None:
    text, mode, says, hint = BROKEN[how]
    path = written(tmp_path, text, mode)
    with pytest.raises(UsageError) as caught:
        argv_of(f"'{path}' --x", "--exec")
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_the_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").write_text(SCRIPT)
    (tmp_path / "work").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="not on the PATH") as caught:
        argv_of("work", "--exec")
    assert caught.value.hint == "name its folder: ./work"
    with pytest.raises(UsageError, match="is a folder"):
        argv_of(str(tmp_path), "--exec")


@pytest.mark.parametrize("flag", ["--exec", "--exec-batch"])
def test_nothing_is_claimed(sqlite: Database, tmp_path: Path, flag: str) -> None:
    jobs(sqlite, 3)
    leased(sqlite)
    result = drain(sqlite, flag, f"'{written(tmp_path, SCRIPT, 0o644)}'")
    assert (result.code, states(sqlite)) == (2, {"pending": 3})
    assert "chmod +x" in result.json()["error"]["hint"]
    assert drain(sqlite, "--exec", f"'{written(tmp_path, SCRIPT, 0o755)}'").json()["rows"] == 3
