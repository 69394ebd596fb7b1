"""Where archives lie: a folder, or a bucket; files in it are created and read, never written over."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from batchops.archive.durable import create_whole, make_folder, put_in_place, sync_folder
from batchops.archive.s3 import SCHEME, S3Destination, bucket_address
from batchops.archive.segments import sha256_of
from batchops.errors import IntegrityError, NotFoundError, UsageError

PARTIAL = ".partial"
"""Ends the names of files that were not finished; nobody reads them."""


class Destination(Protocol):
    """Names are relative, with `/` between their parts."""

    @property
    def shown(self) -> str:
        """Its address without secrets."""

    @property
    def place(self) -> str:
        """The same wherever it is named from."""

    def create(self, name: str, data: bytes) -> bool:
        """Create a file durably; False if there is one of that name, whatever it holds."""

    def publish(self, path: Path, name: str) -> None:
        """Move a durable local file here, durably.

        A file of that name with the same content is as good; IntegrityError for one with another content.
        """

    def read(self, name: str) -> bytes:
        """The content of a small file; NotFoundError."""

    def open(self, name: str) -> BinaryIO:
        """A file to read, seekable; NotFoundError."""

    def names(self, under: str = "") -> Sequence[str]:
        """Names of the files whose names begin with `under`, sorted, without what was not finished."""

    def staging(self) -> Path:
        """A local folder in which files are made that `publish` then moves."""


def open_destination(text: str) -> Destination:
    """The destination of that address, which need not be there yet; UsageError for one that is none."""
    scheme, separator, _ = text.partition("://")
    if scheme == SCHEME and separator:
        return S3Destination(bucket_address(text), os.environ)
    if not separator:
        return FolderDestination(Path(text))
    if scheme == "file":
        return FolderDestination(Path(text.removeprefix("file://")))
    raise UsageError(f"{scheme}: is no place for an archive.", "name a folder, or s3://BUCKET/PREFIX.")


class FolderDestination:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def shown(self) -> str:
        return str(self.root)

    @property
    def place(self) -> str:
        return str(self.root.resolve())

    def create(self, name: str, data: bytes) -> bool:
        path = self._path(name)
        if path.exists():
            return False
        try:
            create_whole(path, data)
        except FileExistsError:
            return False
        return True

    def publish(self, path: Path, name: str) -> None:
        goal = self._path(name)
        try:
            put_in_place(path, goal)
        except FileExistsError:
            with path.open("rb") as mine, goal.open("rb") as other:
                if sha256_of(mine) != sha256_of(other):
                    raise IntegrityError(
                        f"{goal} is there already with another content.", "look at who else writes there."
                    ) from None
            path.unlink()
        sync_folder(path.parent)

    def read(self, name: str) -> bytes:
        with self.open(name) as file:
            return file.read()

    def open(self, name: str) -> BinaryIO:
        try:
            return (self.root / name).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise NotFoundError(f"There is no file {name} in {self.shown}.") from error

    def names(self, under: str = "") -> Sequence[str]:
        found = []
        for folder, _, files in os.walk(self.root):
            found += [(Path(folder) / file).relative_to(self.root).as_posix() for file in files]
        return sorted(name for name in found if name.startswith(under) and not name.endswith(PARTIAL))

    def staging(self) -> Path:
        folder = self.root / "staging"
        make_folder(folder)
        return folder

    def _path(self, name: str) -> Path:
        path = self.root / name
        make_folder(path.parent)
        return path
