"""Whether this process may write a SQLite file: by the URL, and by the rights to the file and to its folder."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_YES = ("1", "true", "yes", "on")
_WAL = 2
"""The value of the file header's read and write versions in WAL mode."""
_WAY_OUT = "give this user the right, or run as a user that has it."


def obstacle(path: Path, query: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return what keeps the file from being written, and the way out; None if nothing does.

    Nothing is opened for writing.
    """
    for name, asked in (("mode", query.get("mode") == "ro"), ("immutable", query.get("immutable") in _YES)):
        if asked:
            parameter = f"{name}={query[name]}"
            return f"The URL opens {path.name} for reading only ({parameter}).", f"leave {parameter} out of the URL."
    if not _has_access(path, os.W_OK):
        return f"This user may not write the file {path}{_mounted(path)}.", _WAY_OUT
    if not unreadable(path) and (not _needs_folder(path) or _has_access(path.parent, os.W_OK | os.X_OK)):
        return None
    folder = f"{path.parent}{_mounted(path.parent)}"
    return f"This user may not write the folder {folder}, where SQLite keeps the journal of {path.name}.", _WAY_OUT


def unreadable(path: Path) -> bool:
    """Whether SQLite cannot even read the file: in WAL mode it first makes another file in the folder."""
    return _in_wal_mode(path) and _needs_folder(path) and not _has_access(path.parent, os.W_OK | os.X_OK)


def _needs_folder(path: Path) -> bool:
    """Whether SQLite has to make files in the folder; in WAL mode another process may have made them already."""
    tables = [Path(f"{path}-{end}") for end in ("wal", "shm")]
    return not (_in_wal_mode(path) and all(_has_access(one, os.W_OK) for one in tables))


def _in_wal_mode(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(20)[18:19] == bytes([_WAL])
    except OSError:
        return False


def _has_access(path: Path, how: int) -> bool:
    return os.access(path, how, effective_ids=os.access in os.supports_effective_ids)


def _mounted(path: Path) -> str:
    try:
        return " (its file system is mounted read-only)" if os.statvfs(path).f_flag & os.ST_RDONLY else ""
    except OSError:
        return ""
