"""The sinks `file:PATH` and `-`: one JSON line for each event. A file is synced before an event is acknowledged."""

import base64
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from urllib.parse import unquote

from batchops.errors import BatchopsError, UsageError
from batchops.outbox.sinks import Delivery, Message, Sink, SinkDownError

LONGEST_WAIT = 10.0
"""Seconds that a write waits for another process that writes to the same file."""
_LOOK_AGAIN = 0.002


def sink(url: str, environ: Mapping[str, str]) -> Sink:  # noqa: ARG001  every sink's module has this
    """Return the sink for the file that `url` names, or for standard output."""
    if url == "-":
        return StandardOutput()
    return FileSink(Path(_path(url)))


def line(message: Message) -> str:
    """Return a message as a JSON line. A body that is not text is in `body_base64` instead of `body`."""
    try:
        body = '"body": null' if message.null else f'"body": {quoted(message.body.decode())}'
    except UnicodeDecodeError:
        body = f'"body_base64": "{base64.b64encode(message.body).decode()}"'
    headers = ", ".join(f"{quoted(name)}: {quoted(value)}" for name, value in message.headers.items())
    # By hand, from the standard library's own quotes: its encoder takes four times as long over five members.
    head = f'"id": {quoted(message.id)}, "topic": {quoted(message.topic)}, "key": {quoted(message.key)}'
    return f'{{{head}, "headers": {{{headers}}}, {body}}}\n'


class StandardOutput:
    """Writes a line to standard output for each message."""

    def open(self) -> None:
        """Do nothing: standard output is open."""

    def send(self, messages: Sequence[Message]) -> Sequence[Delivery]:
        try:
            _write(1, "".join(map(line, messages)).encode())
        except OSError as error:
            raise BatchopsError(f"Standard output takes no more: {error.strerror}.") from error
        return [None] * len(messages)

    def close(self) -> None:
        """Do nothing: standard output stays open."""


class FileSink:
    """Appends a line to a file for each message. Any number of processes may share the file.

    A crash may leave part of a line at the end, which was never acknowledged: the next writer removes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def open(self) -> None:
        if self._path.is_dir():
            raise UsageError(f'--to: "{self._path}" is a folder.', "name a file in it.")
        if not self._path.parent.is_dir():
            raise UsageError(f'--to: there is no folder "{self._path.parent}".')
        if self._file is not None and not self._moved(self._file):
            return
        self.close()
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            _sync_folder(self._path.parent)
        except OSError as error:
            raise SinkDownError(f'"{self._path}" cannot be written: {error.strerror}.') from error

    def send(self, messages: Sequence[Message]) -> Sequence[Delivery]:
        self.open()
        assert self._file is not None
        try:
            with _locked(self._file) as size:
                self._append("".join(map(line, messages)).encode(), size)
        except OSError as error:
            self.close()
            raise SinkDownError(f'"{self._path}" cannot be written: {error.strerror}.') from error
        return [None] * len(messages)

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _append(self, text: bytes, size: int | None) -> None:
        assert self._file is not None
        try:
            _write(self._file, text)
        except OSError:
            if size is not None:
                os.ftruncate(self._file, size)  # a full disk: nothing of it is acknowledged, so remove all
            raise
        if size is not None:
            os.fsync(self._file)

    def _moved(self, file: int) -> bool:
        """Whether the path names another file than the open one, as after the rotation of a log."""
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(file))
        except OSError:
            return True


@contextmanager
def _locked(file: int) -> Iterator[int | None]:
    """Lock the file against other processes, and yield its size once an incomplete last line is removed.

    Yield None for what is not a regular file, which is not locked.
    """
    if not stat.S_ISREG(os.fstat(file).st_mode):
        yield None
        return
    _lock(file)
    try:
        yield _cut_incomplete_line(file)
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _lock(file: int) -> None:
    """Lock the file; raise TimeoutError if another process, stopped or hung, keeps it locked for too long."""
    end = time.monotonic() + LONGEST_WAIT
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                text = f"another process has kept it locked for {LONGEST_WAIT:g} s"
                raise TimeoutError(errno.ETIMEDOUT, text) from None
            time.sleep(_LOOK_AGAIN)
        else:
            return


def _cut_incomplete_line(file: int) -> int:
    """Remove an incomplete last line, and return the size of the file."""
    size = end = os.fstat(file).st_size
    while end and os.pread(file, 1, end - 1) != b"\n":
        start = max(0, end - 65_536)
        end = start + os.pread(file, end - start, start).rfind(b"\n") + 1
    if end != size:
        os.ftruncate(file, end)
    return end


def _write(file: int, text: bytes) -> None:
    left = memoryview(text)
    while left:
        left = left[os.write(file, left) :]


def _sync_folder(folder: Path) -> None:
    """Sync the folder: it holds the name of a new file, which has to be on the disk too."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _path(url: str) -> str:
    rest = url.partition(":")[2]
    if rest.startswith("//"):
        host, _, path = rest[2:].partition("/")
        if host not in ("", "localhost"):
            raise UsageError("--to: file://HOST is not a file of this machine.", "write file:PATH or file:///PATH.")
        return "/" + unquote(path)
    if not rest:
        raise UsageError("--to: which file?", "write file:PATH.")
    return rest
