"""A file without a name, on the disk for temporary files: it is gone with what uses it, or with the process."""

import os
import tempfile
import weakref


class ScratchFile:
    """Bytes are added at its end; any thread may read them."""

    def __init__(self) -> None:
        self._file, path = tempfile.mkstemp(prefix="batchops-")
        os.unlink(path)
        self._close = weakref.finalize(self, os.close, self._file)
        self.size = 0

    def add(self, data: bytes) -> None:
        """Write them behind all others."""
        left = memoryview(data)
        while left:
            written = os.pwrite(self._file, left, self.size)
            left = left[written:]
            self.size += written

    def read(self, start: int, size: int) -> bytes:
        """So many bytes from there."""
        return os.pread(self._file, size, start)

    def close(self) -> None:
        """Let go of it before its time."""
        self._close()
