"""What --to names: a folder of this machine, or a table of the same database."""

import os
from dataclasses import dataclass
from pathlib import Path

from batchops.errors import UsageError


@dataclass(frozen=True)
class Folder:
    """A folder, by its whole path."""

    path: Path

    @property
    def identity(self) -> str:
        """What a job is known by."""
        return f"folder {self.path}"

    @property
    def shown(self) -> str:
        """For people and commands."""
        return f"{self.path}/"


@dataclass(frozen=True)
class OwnTable:
    """A table of the database itself, as it was named."""

    name: str

    @property
    def identity(self) -> str:
        """What a job is known by."""
        return f"table {self.name}"

    @property
    def shown(self) -> str:
        """For people and commands."""
        return self.name


Target = Folder | OwnTable


def target_of(text: str) -> Target:
    """What the text means: a folder ends with / or begins with a path; a bare name is a table."""
    text = text.strip()
    if not text:
        raise UsageError("--to is empty.", "name a folder (archive/) or a table (events_archive).")
    if "://" in text:
        raise UsageError(
            f"--to {text.partition('://')[0]}://…: archives lie in folders and in tables of the same database.",
            "name a folder (archive/) or a table (events_archive).",
        )
    if text.endswith(os.sep) or text.startswith((os.sep, "./", "../", "~")) or text in (".", ".."):
        return Folder(Path(os.path.abspath(os.path.expanduser(text))))
    return OwnTable(text)
