"""Files that are durable when they are said to be, and never written over."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def create(path: Path) -> Iterator[BinaryIO]:
    """A file that was not there, durable at the end of the block; its folder is not yet."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def put_in_place(written: Path, path: Path) -> None:
    """Give a durable file its name, durably; FileExistsError if there is one, which is left as it is."""
    os.link(written, path)
    written.unlink()
    sync_folder(path.parent)


def create_whole(path: Path, data: bytes) -> None:
    """A file with that content, at once and durably; FileExistsError if there is one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.partial")
    try:
        with create(partial) as file:
            file.write(data)
        put_in_place(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """The folder with those above it, durably."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        sync_folder(one.parent)


def sync_folder(path: Path) -> None:
    """Make what was created in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
