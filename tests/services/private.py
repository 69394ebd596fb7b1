"""A server process of our own: temporary folder, free port, stopped by pid whatever becomes of pytest."""

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.services.server import START_SECONDS, Server, UnavailableError, answer

BELOW_EPHEMERAL = (10_000, 32_000)
"""Ports that Linux gives to no outgoing connection."""


ROOM = 2**33
"""Octets of memory that must be free for the files of a database server: the full tier has tables of gigabytes."""


def free_port() -> int:
    """A loopback port that nobody listens on, and that no outgoing connection takes until a server has it."""
    for _ in range(100):
        port = random.SystemRandom().randint(*BELOW_EPHEMERAL)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise UnavailableError("no free port")


def unprivileged(*names: str) -> str | None:
    """The account to run a server as: database servers refuse root. None when we are not root ourselves."""
    if os.geteuid() != 0:
        return None
    for name in (*names, "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise UnavailableError("root without an unprivileged account to run a server as")


def reachable(path: Path) -> bool:
    """Whether any account may walk down to `path`: what lies under /root is closed to the server's."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def memory(room: int) -> Path | None:
    """Where files cost no disk; None where there is less than `room` octets of it."""
    place = Path("/dev/shm")
    return place if place.is_dir() and os.access(place, os.W_OK) and shutil.disk_usage(place).free > room else None


def temporary_folder(owner: str | None, *, room: int | None = None) -> Path:
    """A new folder that the server's account owns and reaches; in memory if that has `room` octets."""
    places = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]
    if room is not None and (fast := memory(room)) is not None:
        places.insert(0, fast)
    place = next((p for p in places if owner is None or reachable(p)), places[0])
    folder = Path(tempfile.mkdtemp(prefix="batchops-", dir=place))
    if owner:
        shutil.chown(folder, owner)
    return folder


def as_owner(owner: str | None, folder: Path) -> dict[str, Any]:
    """The keywords that make subprocess run as `owner`, who may not be let into our own home and TMPDIR."""
    place: dict[str, Any] = {
        "cwd": folder,
        "env": os.environ | {"HOME": str(folder), "TMPDIR": str(folder)},
        "stdin": subprocess.DEVNULL,
    }
    if owner is None:
        return place
    entry = pwd.getpwnam(owner)
    return place | {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def last_words(text: str) -> str:
    """The end of a server's output, where the reason stands."""
    return " | ".join(line.strip() for line in text.strip().splitlines()[-3:])


def run(argv: Sequence[str | Path], folder: Path, owner: str | None) -> None:
    """Run a preparing command to its end, in `folder`."""
    name = Path(argv[0]).name
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=START_SECONDS, **as_owner(owner, folder))
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{name} did not run: {error}") from error
    if done.returncode:
        raise UnavailableError(f"{name} failed: {last_words(done.stderr or done.stdout) or done.returncode}")


@dataclass
class Private:
    """A private server; `stop()` and `start()` again keep its folder and port."""

    name: str
    argv: Sequence[str | Path]
    folder: Path
    owner: str | None
    url: str
    version: Callable[[str], str]
    """Asks the server at the URL; raises UnavailableError while it does not answer."""
    halt: signal.Signals
    """How it goes down at once, as in a crash: its data is thrown away."""
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _guard: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def server(self) -> Server:
        """To make databases on."""
        return Server(self.name, "", self.url, "private", self.remove)

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise UnavailableError(f"{self.name} is stopped")
        return self._process.pid

    def start(self) -> Server:
        """Start and wait until it answers. A session of its own keeps Ctrl-C away from it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.argv, stdout=log, stderr=log, start_new_session=True, **as_owner(self.owner, self.folder)
            )
        self._guard = _guard(self.pid, self.halt, self.folder)
        origin = f"private, {Path(self.argv[0]).parent}"
        return Server(self.name, self._wait(), self.url, origin, self.remove)

    def _wait(self) -> str:
        process = self._process
        try:
            return answer(self.version, self.url, lambda: process is not None and process.poll() is None)
        except UnavailableError as error:
            last = last_words(self.log.read_text(errors="replace"))
            self.remove()
            raise UnavailableError(f"{self.name} did not start: {last or error}") from error

    def stop(self, how: signal.Signals | None = None) -> None:
        """Take it down as in a crash, or by another signal; does nothing to one that is down."""
        if self._process is None:
            return
        self._process.send_signal(how or self.halt)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._dismiss()

    def _dismiss(self) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.kill()
            self._guard.wait()
            self._guard.stdin.close()
        self._guard = None

    def remove(self) -> None:
        """Stop and delete the folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def _guard(pid: int, halt: signal.Signals, folder: Path) -> subprocess.Popen[bytes]:
    """A shell that sees our end of a pipe close, also when pytest was killed, and then clears up."""
    script = 'read _; kill -"$1" "$2"; while kill -0 "$2"; do sleep 0.1; done; rm -rf -- "$3"'
    return subprocess.Popen(
        ["sh", "-c", script, "guard", str(int(halt)), str(pid), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
