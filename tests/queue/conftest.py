"""What handlers have had, of drains in this process."""

from pathlib import Path

import pytest


@pytest.fixture
def handled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the handler writes which rows it has had."""
    file = tmp_path / "handled"
    file.touch()
    monkeypatch.setenv("HANDLED", str(file))
    return file
