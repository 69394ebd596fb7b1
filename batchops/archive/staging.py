"""Folders for unfinished files: on the disk for temporary files, or in the folder of an archive."""

import fcntl
import os
import shutil
import tempfile
import time
import weakref
from contextlib import suppress
from pathlib import Path

from batchops.archive.durable import make_folder

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
        self._removal = weakref.finalize(self, _remove, self.path, lock)

    def remove(self) -> None:
        """Remove the folder now."""
        self._removal()


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


class SharedFolder:
    """A folder in which several runs write. It is created, and stays as long as one of them uses it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        while (lock := _locked(path)) is None:
            make_folder(path)
        self._lock = lock
        self._close = weakref.finalize(self, os.close, lock)

    def remove(self) -> None:
        """Use it no more. Remove it, unless it holds a file or another run uses it."""
        with suppress(OSError):  # another one's lock, or a file; without any locks here, the folder stays
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.path.rmdir()
        self._close()


def _locked(path: Path) -> int | None:
    """Return a descriptor of the folder, locked against removal; None if there is no such folder any more."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with suppress(OSError):  # a file system without locks
        fcntl.flock(lock, fcntl.LOCK_SH)
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(lock), path.stat()):  # it was not removed before it was locked
            return lock
    os.close(lock)
    return None
