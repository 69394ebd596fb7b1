"""Owner: identifies a process, so that another one on the same host can tell whether it still runs."""

import getpass
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Owner:
    """A process; after a reboot, in another container or with a reused number it does not count as the same."""

    user: str
    host: str
    pid: int
    boot: str
    namespace: str
    started: str

    def gone(self) -> bool:
        """Whether the process certainly no longer runs; False where this process cannot tell."""
        if not self.here():
            return False
        started = _started(self.pid)
        return started != self.started if started or not _hidden(self.pid) else False

    def here(self) -> bool:
        """Whether this process can tell if the owner runs: it is on the same host, boot and process namespace."""
        here = this_process()
        return bool(self.boot) and (self.boot, self.namespace) == (here.boot, here.namespace)

    def holds(self, left: float) -> bool:
        """Whether the owner still holds a lease with `left` seconds left; if not, another process may take it over."""
        return left > 0 and not self.gone()

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def this_process() -> Owner:
    """Return the Owner of this process."""
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
    except (KeyError, OSError):  # a user without a name, as in a container
        return str(os.getuid())


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return the start time of the process in clock ticks since boot; empty if it is gone or a zombie."""
    stat = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return "" if len(stat) < 20 or stat[0] in "ZX" else stat[19]


def _hidden(pid: int) -> bool:
    """Whether a process with this number belongs to another user and /proc hides it (hidepid)."""
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
