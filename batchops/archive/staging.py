"""Folders for files that are about to be uploaded, on the disk for temporary files."""

import fcntl
import os
import shutil
import tempfile
import time
import weakref
from contextlib import suppress
from pathlib import Path

_PREFIX = "batchops-staging-"
_LOCK = "in-use"
_NEW = 60.0
"""Seconds during which a new folder may not be locked yet."""


class StagingFolder:
    """A new folder, which is removed once this object is gone. Folders of killed processes are removed first."""

    def __init__(self) -> None:
        _remove_left_behind(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        weakref.finalize(self, _remove, self.path, lock)


def _remove(path: Path, lock: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)


def _remove_left_behind(place: Path) -> None:
    """Remove the folders of killed processes: the lock of a process ends with it."""
    for path in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another process holds it, or it is another user's, or it was removed just now
            if time.time() - path.stat().st_mtime < _NEW:
                continue
            lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)
