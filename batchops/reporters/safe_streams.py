"""SafeStream: a stream that may fail while a run works: a closed pipe, a terminal that hung up, a full disk."""

import errno
import os
from typing import TextIO

from batchops.reporters import Warn

_PLAIN = str.maketrans({"━": "=", "─": "-", "…": ".", "×": "x"})


class SafeStream:
    """Writes to a stream until that fails, and never raises; warns once, unless the reader closed a pipe."""

    def __init__(self, stream: TextIO | None, warn: Warn | None = None) -> None:
        # sys.stderr is None if the process was started with stderr closed.
        self._stream = stream
        self._warn = warn
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        if self._stream is not None:
            try:
                self._stream.write(self._encodable(text))
            except (OSError, ValueError) as error:
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._lose(error)

    def line(self, text: str) -> None:
        """Write a line and flush it."""
        self.write(text + "\n")
        self.flush()

    def isatty(self) -> bool:
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        if self._stream is None:
            raise OSError(errno.EBADF, "The stream is closed")
        return self._stream.fileno()

    def _encodable(self, text: str) -> str:
        """Return the text with the letters that the encoding lacks replaced, so that the line keeps its shape."""
        if self.encoding.lower().startswith("utf"):
            return text
        return text.translate(_PLAIN).encode(self.encoding, "backslashreplace").decode(self.encoding)

    def _lose(self, error: OSError | ValueError) -> None:
        lost, self._stream = self._stream, None
        _drain(lost)
        if self._warn and not isinstance(error, BrokenPipeError):
            self._warn(f"warning: the output cannot be written: {error}")


def _drain(stream: TextIO | None) -> None:
    """Point the stream to /dev/null: Python flushes its buffer at exit, and would fail there with status 120."""
    try:
        if stream is not None:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
    except (OSError, ValueError):
        return
