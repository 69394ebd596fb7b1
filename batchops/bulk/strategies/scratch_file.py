"""A temporary file without a name: it disappears with the object that uses it, or with the process."""

import os
import tempfile
import weakref


class ScratchFile:
    """A file to whose end bytes are added; any thread may read them."""

    def __init__(self) -> None:
        self._file, path = tempfile.mkstemp(prefix="batchops-")
        os.unlink(path)
        self._close = weakref.finalize(self, os.close, self._file)
        self.size = 0

    def add(self, data: bytes) -> None:
        """Write the data at the end."""
        left = memoryview(data)
        while left:
            written = os.pwrite(self._file, left, self.size)
            left = left[written:]
            self.size += written

    def read(self, start: int, size: int) -> bytes:
        """Return `size` bytes from `start` on."""
        return os.pread(self._file, size, start)

    def close(self) -> None:
        """Close the file before the object is gone."""
        self._close()
