"""Compressed streams over an open file: gzip by Python's own library, zstd by pyarrow."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from batchops.archive.formats import Compression, missing_library


def compressing(file: BinaryIO, compression: Compression) -> BinaryIO:
    """Return a stream that compresses into `file`. Closing the stream leaves the file open."""
    if compression == "gzip":
        return cast("BinaryIO", gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0))
    return cast("BinaryIO", _Zstd(file))


@contextmanager
def reading_compressed(file: BinaryIO, compression: Compression) -> Iterator[BinaryIO]:
    """Yield a stream of the decompressed content of `file`; ValueError if it is damaged or ends too early."""
    try:
        if compression == "gzip":
            with gzip.GzipFile(fileobj=file, mode="rb") as plain:
                yield cast("BinaryIO", plain)
            return
        pa = _pyarrow()
        with pa.CompressedInputStream(pa.PythonFile(_Unclosed(file), mode="r"), "zstd") as plain:
            yield cast("BinaryIO", plain)
    except (OSError, EOFError, zlib.error) as error:  # pyarrow's errors of compression are OSErrors
        raise ValueError(str(error)) from error


class _Zstd:
    def __init__(self, file: BinaryIO) -> None:
        pa = _pyarrow()
        self._file = pa.PythonFile(_Unclosed(file), mode="w")
        self._stream = pa.CompressedOutputStream(self._file, "zstd")

    def write(self, data: bytes) -> int:
        self._stream.write(data)
        return len(data)

    def close(self) -> None:
        self._stream.close()


class _Unclosed:
    """A file that stays open when pyarrow closes it. It has the methods that pyarrow asks for."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.write = file.write
        self.flush = file.flush
        self.tell = file.tell
        self.readable = file.readable
        self.writable = file.writable

    def close(self) -> None:
        pass


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
    except ModuleNotFoundError as error:
        raise missing_library(error, "zstd") from error
    return pa
