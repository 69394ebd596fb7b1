"""The formats of segments: which there are, what their files are called, which library each needs."""

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
    """Writes blocks of canonical lines into a file."""

    def write(self, lines: Sequence[bytes]) -> None:
        """Write a block, which becomes a row group where the format has such; InexactRowsError if it cannot be."""

    def close(self) -> None:
        """Write what belongs at the end; the file itself stays open."""


class RowFormat(Protocol):
    """Writes and reads the files of one format; one object is for one list of columns."""

    def writer(self, file: BinaryIO) -> RowWriter:
        """A writer into that file."""

    def read(self, file: BinaryIO) -> Iterator[list[bytes]]:
        """Blocks of canonical lines, as they were written; ValueError for a file that makes no sense."""

    def inexact(self, lines: Sequence[bytes]) -> list[InexactRow]:
        """Those of the lines that would not be read back the same."""


@dataclass(frozen=True)
class SegmentFormat:
    """A format with its compression."""

    name: FormatName = "parquet"
    compression: Compression = "zstd"

    @property
    def ending(self) -> str:
        """What files of this kind end in, without a dot before it."""
        return self.name if self.name == "parquet" else f"{self.name}.{_ENDINGS[self.compression]}"

    def of(self, columns: Sequence[ExactColumn]) -> RowFormat:
        """The format for rows of these columns; UsageError if the library that it needs is missing."""
        try:
            module: Any = import_module(_MODULES[self.name])
        except ModuleNotFoundError as error:
            raise missing_library(error, f"--format {self.name}") from error
        found: RowFormat = module.format_of(columns, self.compression)
        return found


def format_here(name: FormatName) -> SegmentFormat:
    """The format of new files of this name: text is compressed with zstd where pyarrow is installed, else with gzip."""
    return SegmentFormat(name, "zstd" if name == "parquet" or find_spec("pyarrow") else "gzip")


def format_of_name(name: str) -> SegmentFormat | None:
    """The format of a file by its name; None for one that is no segment."""
    formats = [SegmentFormat(), *(SegmentFormat(one, way) for one in _TEXTS for way in _WAYS)]
    return next((one for one in formats if name.endswith(f".{one.ending}")), None)


def missing_library(error: ModuleNotFoundError, what: str) -> UsageError:
    """For a person who has not installed an extra."""
    if error.name is None or not error.name.startswith("pyarrow"):
        raise error
    return UsageError(f"{what} needs pyarrow, which is not installed.", "pip install 'batchops[parquet]'")


_TEXTS: tuple[FormatName, ...] = ("jsonl", "csv")
_WAYS: tuple[Compression, ...] = ("zstd", "gzip")
