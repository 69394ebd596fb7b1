"""Which process is running: enough to tell on the same host whether it still lives."""

import getpass
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Owner:
    """A process, by what outlives neither a reboot, nor a container, nor a reused number."""

    user: str
    host: str
    pid: int
    boot: str
    namespace: str
    started: str

    def gone(self) -> bool:
        """Whether this process surely runs no more; False where that cannot be told from here."""
        if not self.here():
            return False
        started = _started(self.pid)
        return started != self.started if started or not _hidden(self.pid) else False

    def here(self) -> bool:
        """Whether it can be told from here if this process runs: it is on this host, since its last start."""
        here = this_process()
        return bool(self.boot) and (self.boot, self.namespace) == (here.boot, here.namespace)

    def holds(self, left: float) -> bool:
        """Whether a lease with so many seconds left is still this process's; else another may take it over."""
        return left > 0 and not self.gone()

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def this_process() -> Owner:
    """The process that asks."""
    pid = os.getpid()
    return Owner(
        user=_user(),
        host=socket.gethostname(),
        pid=pid,
        boot=_read("/proc/sys/kernel/random/boot_id"),
        namespace=_namespace(),
        started=_started(pid),
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> str:
    """The process's start in clock ticks since boot; empty once it is gone or a zombie."""
    stat = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return "" if len(stat) < 20 or stat[0] in "ZX" else stat[19]


def _hidden(pid: int) -> bool:
    """Whether there is such a process of another user that /proc hides (hidepid)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return not Path(f"/proc/{pid}/stat").exists()
    except OSError:
        return False
    return False


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
