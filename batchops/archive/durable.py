"""Creates files durably, and never overwrites one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def create(path: Path) -> Iterator[BinaryIO]:
    """Create a file, which is durable at the end of the block. Its name in the folder is not durable yet."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def put_in_place(written: Path, path: Path) -> None:
    """Rename a durable file durably; raise FileExistsError if there is a file of that name, which stays unchanged."""
    os.link(written, path)
    written.unlink()
    sync_folder(path.parent)


def create_whole(path: Path, data: bytes) -> None:
    """Create a file with that content atomically and durably; raise FileExistsError if there is one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.partial")
    try:
        with create(partial) as file:
            file.write(data)
        put_in_place(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Create the folder and those above it, durably."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        sync_folder(one.parent)


def sync_folder(path: Path) -> None:
    """Make the names of the files created in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
