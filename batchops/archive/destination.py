"""The destinations of archives: a folder or a bucket. Files are created and read, never overwritten."""

import errno
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from batchops.archive.durable import create_whole, make_folder, put_in_place, sync_folder
from batchops.archive.layout import STAGING
from batchops.archive.s3 import SCHEME, S3Destination, bucket_address
from batchops.archive.segments import sha256_of
from batchops.archive.staging import SharedFolder
from batchops.errors import DeniedError, IntegrityError, NotFoundError, UsageError

PARTIAL = ".partial"
"""The ending of the names of unfinished files, which are never read."""


class Destination(Protocol):
    """A place for the files of an archive. Names are relative, with `/` between their parts."""

    @property
    def shown(self) -> str:
        """Return the address without secrets."""

    @property
    def place(self) -> str:
        """Return a name of the place that is the same from wherever it is named."""

    def create(self, name: str, data: bytes) -> bool:
        """Create a file durably; return False if there is a file of that name, whatever it holds."""

    def publish(self, path: Path, name: str) -> None:
        """Move a durable local file here, durably.

        Succeeds if there is a file of that name with the same content; raises IntegrityError if its content differs.
        """

    def read(self, name: str) -> bytes:
        """Return the content of a small file; raise NotFoundError if there is none of that name."""

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading and seeking; raise NotFoundError if there is none of that name."""

    def names(self, under: str = "") -> Sequence[str]:
        """Return the names that begin with `under`, sorted, without those of unfinished files."""

    def staging(self) -> Path:
        """Return a local folder to write files in before `publish` moves them."""

    def check_removal(self) -> None:
        """Raise DeniedError if files may not be removed."""

    def remove(self, name: str) -> None:
        """Remove a file durably, and its folder if nothing else is in it. It may be gone already."""

    def wait_until(self, given_up: Callable[[], bool]) -> None:
        """Once `given_up` returns true, raise CutShortError instead of waiting long for an answer."""


def open_destination(text: str) -> Destination:
    """Return the destination of an address, which need not exist yet; raise UsageError if the address is invalid."""
    scheme, separator, _ = text.partition("://")
    if scheme == SCHEME and separator:
        return S3Destination(bucket_address(text), os.environ)
    if not separator:
        return FolderDestination(Path(text))
    if scheme == "file":
        return FolderDestination(Path(text.removeprefix("file://")))
    raise UsageError(f"{scheme}: is no place for an archive.", "name a folder, or s3://BUCKET/PREFIX.")


class FolderDestination:
    """A folder on this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._staging: SharedFolder | None = None
        self._guard = threading.Lock()

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
        with self._guard:
            if self._staging is None:
                self._staging = SharedFolder(self.root / STAGING)
            return self._staging.path

    def wait_until(self, given_up: Callable[[], bool]) -> None:
        """Do nothing: a disk answers, or nobody can interrupt it."""

    def remove_staging(self) -> None:
        """Remove the folder of unfinished files, unless it holds one or another run uses it."""
        with self._guard, suppress(OSError):  # it may stay
            if self._staging is not None or (self.root / STAGING).exists():
                (self._staging or SharedFolder(self.root / STAGING)).remove()
                self._staging = None

    def check_removal(self) -> None:
        folders = (self.root, *(path for path in self.root.rglob("*") if path.is_dir()))
        if denied := next((path for path in folders if not os.access(path, os.W_OK | os.X_OK)), None):
            raise DeniedError(f"Files in {denied} may not be removed.", "it needs the right to write to the folder.")

    def remove(self, name: str) -> None:
        path = self.root / name
        try:
            path.unlink(missing_ok=True)
            sync_folder(path.parent)
            if path.parent != self.root:  # a run's own folder, in which no other process makes files
                path.parent.rmdir()
        except FileNotFoundError:  # its folder is gone too
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise DeniedError(f"{path} cannot be removed: {error.strerror}.", "then run it again.") from error

    def _path(self, name: str) -> Path:
        path = self.root / name
        make_folder(path.parent)
        return path
