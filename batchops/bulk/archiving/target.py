"""What --to names: a folder of this machine, a bucket of S3, a table of the same database or of another."""

import os
from dataclasses import dataclass
from pathlib import Path

from batchops.archive.s3 import SCHEME, BucketAddress, bucket_address
from batchops.db.url_parse import masked
from batchops.db.url_references import is_reference
from batchops.errors import UsageError


@dataclass(frozen=True)
class Folder:
    """A folder, by its whole path."""

    path: Path

    @property
    def identity(self) -> str:
        """What identifies the target in a job."""
        return f"folder {self.path}"

    @property
    def shown(self) -> str:
        """The target for people and commands."""
        return f"{self.path}/"


@dataclass(frozen=True)
class OwnTable:
    """A table of the database itself, as it was named."""

    name: str

    @property
    def identity(self) -> str:
        """What identifies the target in a job."""
        return f"table {self.name}"

    @property
    def shown(self) -> str:
        """The target for people and commands."""
        return self.name


@dataclass(frozen=True)
class OtherTable:
    """A table of another database."""

    url: str
    """The URL as it was given; it holds no password."""
    name: str

    @property
    def identity(self) -> str:
        """What identifies the target in a job."""
        return f"table {self.shown}"

    @property
    def shown(self) -> str:
        """The target for people and commands."""
        return f"{self.url}#{self.name}"


@dataclass(frozen=True)
class Bucket:
    """A bucket of S3, and what the names of its objects begin with."""

    address: BucketAddress

    @property
    def identity(self) -> str:
        """What identifies the target in a job."""
        return str(self.address)

    @property
    def shown(self) -> str:
        """The target for people and commands."""
        return str(self.address)


Target = Folder | OwnTable | OtherTable | Bucket


def _other(text: str) -> OtherTable:
    url, mark, name = text.rpartition("#")
    if not (mark and url and name):
        raise UsageError(
            f"{masked(text)} is neither a folder, nor a bucket, nor a table.",
            "a table of another database is URL#TABLE, a bucket s3://BUCKET/PREFIX.",
        )
    if not is_reference(url) and masked(url) != url:
        raise UsageError(
            f"{masked(url)}#{name} holds a password, which commands and lists of runs would show.",
            "--to env:NAME#TABLE or file:PATH#TABLE, or leave the password to ~/.pgpass or ~/.my.cnf.",
        )
    return OtherTable(url, name)


def target_of(text: str) -> Target:
    """Return what the text means: a folder ends with / or begins with a path; a bare name is a table."""
    text = text.strip()
    if not text:
        raise UsageError("--to is empty.", "name a folder (archive/) or a table (events_archive).")
    if text.startswith(f"{SCHEME}://"):
        return Bucket(bucket_address(text))
    if "://" in text or is_reference(text):
        return _other(text)
    if text.endswith(os.sep) or text.startswith((os.sep, "./", "../", "~")) or text in (".", ".."):
        return Folder(Path(os.path.abspath(os.path.expanduser(text))))
    return OwnTable(text)
