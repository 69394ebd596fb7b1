"""What a server on this host can be asked by way of the host: its CPUs, and the disk of its files."""

import os

from batchops.errors import RefusedError


def cpus() -> int:
    """The CPUs of this host."""
    return os.cpu_count() or 1


def free_bytes(folder: str) -> int:
    """What is free for others than root on the disk of that folder; RefusedError where this process may not ask."""
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        raise RefusedError(f"{folder} cannot be asked: {error.strerror}.") from error
    return disk.f_bavail * disk.f_frsize


def process_name(pid: int) -> str:
    """The name of a process of this host; empty where there is none such."""
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""
