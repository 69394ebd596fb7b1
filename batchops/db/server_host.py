"""What this host tells about a server that runs on it: its CPUs, and the disk of the server's files."""

import os

from batchops.errors import RefusedError


def cpus() -> int:
    """Return the number of this host's CPUs."""
    return os.cpu_count() or 1


def free_bytes(folder: str) -> int:
    """Return the bytes that users other than root can still use on the disk of that folder.

    RefusedError where this process may not ask.
    """
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        raise RefusedError(f"{folder} cannot be asked: {error.strerror}.") from error
    return disk.f_bavail * disk.f_frsize


def process_name(pid: int) -> str:
    """Return the name of a process of this host; empty where there is no such process."""
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""
