"""Tells readers of an archive in a folder and a prune of it apart; a bucket has nothing that could tell."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from batchops.archive.destination import Destination, FolderDestination
from batchops.errors import LockedError


@contextmanager
def reading(destination: Destination) -> Iterator[None]:
    """Let no prune begin in the block; raise LockedError if one is at work."""
    with _locked(destination, fcntl.LOCK_SH, f"A prune of {destination.shown} is at work."):
        yield


@contextmanager
def pruning(destination: Destination) -> Iterator[None]:
    """Let no reader begin in the block; raise LockedError if one is at work."""
    what = f"{destination.shown} is in use: a restore, a verification, a query or another prune is at work."
    with _locked(destination, fcntl.LOCK_EX, what):
        yield


@contextmanager
def _locked(destination: Destination, how: int, otherwise: str) -> Iterator[None]:
    if not isinstance(destination, FolderDestination) or not destination.root.is_dir():
        yield
        return
    folder = os.open(destination.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(folder, how | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockedError(otherwise, "try again when it has ended.") from error
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(folder)
