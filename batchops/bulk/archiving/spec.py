"""The spec of archive."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from batchops.archive.formats import FormatName
from batchops.bulk.archiving.target import Bucket, Folder, OtherTable, OwnTable, Target, target_of
from batchops.bulk.spec import FamilySpec
from batchops.errors import UsageError
from batchops.spec import parsers
from batchops.spec.models import ARCHIVE, Bytes, Flag

SEGMENT_SIZE = 128 << 20
"""Bytes of the rows of a segment as text; compressed they take a fraction."""
_COPIED: dict[type[Target], float] = {Folder: 200_000.0, OwnTable: 600_000.0, OtherTable: 50_000.0, Bucket: 80_000.0}
"""Rows a second by where they go, with what proves them; a bucket over a network that takes less time than that."""
LARGEST_OBJECT = 4 << 30
"""The most such bytes of a segment that is uploaded: S3 takes at most 5 GiB in one request, which creates an object."""


def _known(value: object) -> object:
    """Return the value of --to as text; ValueError if it is no destination."""
    text = parsers.path(value)
    if isinstance(text, str):
        try:
            target_of(text)
        except UsageError as error:
            raise ValueError(f"{error.message} {error.hint}") from None
    return text


class ArchiveSpec(FamilySpec):
    """Move rows out of a table: first they are durable elsewhere, then they are deleted."""

    to: Annotated[str, BeforeValidator(_known), Flag("DEST", ARCHIVE)] = Field(
        description="Where the rows go: a folder (DIR/), s3://BUCKET/PREFIX, a table of this database, or URL#TABLE "
        "of another one."
    )
    format: Annotated[FormatName, Flag("NAME", ARCHIVE)] = Field(
        "parquet", description="Files: parquet, jsonl or csv. Default: parquet, which needs the extra parquet."
    )
    columns: Annotated[tuple[str, ...] | None, BeforeValidator(parsers.names), Flag("A,B", ARCHIVE)] = Field(
        None, min_length=1, description="Archive these columns alone. The others are lost. Default: all."
    )
    keep: Annotated[bool, Flag(group=ARCHIVE)] = Field(
        False, description="Copy the rows and keep them in the table. A run copies each row once; the next run, again."
    )
    segment_size: Annotated[Bytes, Flag("128MiB", ARCHIVE)] = Field(
        SEGMENT_SIZE,
        ge=1 << 16,
        description="A file is finished once it holds so many bytes of rows, uncompressed. Default: 128MiB.",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not isinstance(self.target, Folder | Bucket):
            for name in ("format", "segment_size"):
                if name in self.model_fields_set:
                    raise ValueError(f"--{name.replace('_', '-')} is for files: {self.to} is a table")
        if isinstance(self.target, Bucket) and self.segment_size > LARGEST_OBJECT:
            raise ValueError("--segment-size: an object of a bucket is uploaded in one request; give at most 4GiB")
        if self.drop_partitions and not isinstance(self.target, Folder | Bucket):
            raise ValueError(
                f"--drop-partitions archives whole partitions to files: {self.to} is a table. Name a folder or a "
                "bucket: --to DIR/, --to s3://BUCKET/PREFIX"
            )
        if self.drop_partitions and self.keep:
            raise ValueError("--drop-partitions excludes --keep: a dropped partition does not stay")
        if self.with_children:
            self._several_tables()
        return self

    def _several_tables(self) -> None:
        if not isinstance(self.target, Folder | Bucket):
            raise ValueError(
                f"--with-children archives rows of several tables: {self.to} is one. Name a folder or a "
                "bucket: --to DIR/, --to s3://BUCKET/PREFIX"
            )
        if self.keep:
            raise ValueError("--with-children excludes --keep: which rows go with a row shows as they are deleted")
        if self.columns is not None:
            raise ValueError("--with-children excludes --columns: rows are archived whole, so that they fit together")

    @property
    def target(self) -> Target:
        """What --to names."""
        return target_of(self.to)

    @property
    def offers_children(self) -> bool:
        return isinstance(self.target, Folder | Bucket) and not self.keep and self.columns is None

    @property
    def whole_families(self) -> bool:
        return isinstance(self.target, Bucket)

    @property
    def copied_a_second(self) -> float | None:
        return _COPIED[type(self.target)]

    @property
    def names_rows(self) -> bool:
        return isinstance(self.target, Bucket)

    def identity(self) -> dict[str, Any]:
        target = self.target
        files = {"format": self.format} if isinstance(target, Folder | Bucket) else {}
        columns = {} if self.columns is None else {"columns": list(self.columns)}
        keep = {"keep": True} if self.keep else {}
        return super().identity() | {"to": target.identity} | files | columns | keep
