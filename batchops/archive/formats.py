"""The formats of segments, the endings of their files, and the library that each needs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, BinaryIO, Literal, Protocol

from batchops.archive.inexact import InexactRow
from batchops.db.exact_columns import ExactColumn
from batchops.errors import UsageError

FormatName = Literal["parquet", "jsonl", "csv"]
Compression = Literal["zstd", "gzip"]
_MODULES = {
    "parquet": "batchops.archive.parquet",
    "jsonl": "batchops.archive.jsonl",
    "csv": "batchops.archive.csv_file",
}
_ENDINGS = {"zstd": "zst", "gzip": "gz"}


class RowWriter(Protocol):
    """Writes canonical lines into a file, in blocks as `exact_text` makes them."""

    def write(self, block: bytes) -> None:
        """Write a block of lines, a row group in Parquet; raise InexactRowsError for values that are not exact."""

    def close(self) -> None:
        """Write the end of the content. The file itself stays open."""


class RowFormat(Protocol):
    """Writes and reads the files of one format, for one list of columns."""

    def writer(self, file: BinaryIO) -> RowWriter:
        """Return a writer into the file."""

    def read(self, file: BinaryIO) -> Iterator[bytes]:
        """Yield the canonical lines that were written, in blocks; raise ValueError for a file that cannot be read."""

    def inexact(self, block: bytes) -> list[InexactRow]:
        """Return the values of the block's lines that would not be read back the same."""


@dataclass(frozen=True)
class SegmentFormat:
    """A format with its compression."""

    name: FormatName = "parquet"
    compression: Compression = "zstd"

    @property
    def ending(self) -> str:
        """Return the ending of the names of such files, without the dot before it."""
        return self.name if self.name == "parquet" else f"{self.name}.{_ENDINGS[self.compression]}"

    def of(self, columns: Sequence[ExactColumn]) -> RowFormat:
        """Return the format for rows of these columns; raise UsageError if the library that it needs is missing."""
        try:
            module: Any = import_module(_MODULES[self.name])
            if self.compression == "zstd":
                import_module("pyarrow")
        except ModuleNotFoundError as error:
            raise missing_library(error, f"--format {self.name}") from error
        found: RowFormat = module.format_of(columns, self.compression)
        return found


def format_here(name: FormatName) -> SegmentFormat:
    """Return the format for new files: text is compressed with zstd if pyarrow is installed, else with gzip."""
    return SegmentFormat(name, "zstd" if name == "parquet" or find_spec("pyarrow") else "gzip")


def format_of_name(name: str) -> SegmentFormat | None:
    """Return the format of a file by its name; None if it is not a segment."""
    formats = [SegmentFormat(), *(SegmentFormat(one, way) for one in _TEXTS for way in _COMPRESSIONS)]
    return next((one for one in formats if name.endswith(f".{one.ending}")), None)


def missing_library(error: ModuleNotFoundError, what: str) -> UsageError:
    """Return the error for a missing extra; raise `error` itself if another module is missing."""
    if error.name is None or not error.name.startswith("pyarrow"):
        raise error
    return UsageError(f"{what} needs pyarrow, which is not installed.", "pip install 'batchops[parquet]'")


_TEXTS: tuple[FormatName, ...] = ("jsonl", "csv")
_COMPRESSIONS: tuple[Compression, ...] = ("zstd", "gzip")
