"""Segments as Parquet: each block of lines is a row group."""

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from batchops.archive.arrow import ArrowRows
from batchops.archive.formats import Compression, RowFormat
from batchops.archive.inexact import InexactRow
from batchops.db.exact_columns import ExactColumn

BLOCK = 8_192
"""Rows that are read at a time."""
_DICTIONARY = 16 << 10
"""The most bytes of a column's dictionary in a row group. A larger dictionary takes longer to write, and the file is
larger too: zstd compresses the plain values better."""


class Parquet:
    """Writes and reads rows of one list of columns as Parquet."""

    def __init__(self, columns: Sequence[ExactColumn], compression: Compression) -> None:
        self._rows = ArrowRows(columns)
        self._compression = compression

    def writer(self, file: BinaryIO) -> "ParquetWriter":
        made = pq.ParquetWriter(
            file, self._rows.schema, compression=self._compression, write_page_checksum=True,
            dictionary_pagesize_limit=_DICTIONARY,
        )  # fmt: skip
        return ParquetWriter(self._rows, made)

    def read(self, file: BinaryIO) -> Iterator[bytes]:
        try:
            with pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False) as opened:
                if opened.schema_arrow.types != self._rows.schema.types:
                    raise ValueError("its columns are of other types than its record says")
                for group in range(opened.num_row_groups):  # a batch over several would hold all their rows
                    for batch in opened.iter_batches(BLOCK, [group], use_threads=False):
                        yield self._rows.block(batch)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(str(error)) from error

    def inexact(self, block: bytes) -> list[InexactRow]:
        return self._rows.inexact(block)


class ParquetWriter:
    """Writes the lines of one file."""

    def __init__(self, rows: ArrowRows, writer: Any) -> None:
        self._rows = rows
        self._writer = writer

    def write(self, block: bytes) -> None:
        rows = self._rows.batch(block)
        self._writer.write_batch(rows, row_group_size=max(1, rows.num_rows))

    def close(self) -> None:
        self._writer.close()


def format_of(columns: Sequence[ExactColumn], compression: Compression) -> RowFormat:
    """Return the Parquet format for rows of these columns."""
    return Parquet(columns, compression)
