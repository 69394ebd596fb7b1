"""The record of a segment, which is stored in a file beside the segment's own."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.exact_text import fields_of
from batchops.errors import IntegrityError

FIRST, WITH_VALUES, LATEST = 1, 2, 3
"""Versions of the format. The second adds values of rows that stayed: a reader of the first takes them for rows.
The third adds pruned runs: a reader of the second takes them for missing."""


@dataclass(frozen=True)
class ArchivedTable:
    """The table that rows come from, as it was when they were archived."""

    label: str
    columns: tuple[ExactColumn, ...]
    key: tuple[str, ...]
    family: str = ""
    """The family of databases whose types the columns have: `ExactColumns.family`."""
    nulled: tuple[str, ...] = ()
    """Columns that the archive set to NULL, because they referred to rows that it archived.

    If there are any, the segment holds no archived rows, but the former values of rows that stayed, with their key.
    """

    @property
    def version(self) -> int:
        """Return the version of the format that the table needs."""
        return WITH_VALUES if self.nulled else FIRST

    def document(self) -> dict[str, Any]:
        """Return the table as a JSON document."""
        own = {"table": self.label, "family": self.family, "key": list(self.key)}
        own |= {"nulled": list(self.nulled)} if self.nulled else {}
        return own | {"columns": [*map(_column, self.columns)]}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "ArchivedTable":
        """Return the table that a document describes; raise ValueError if it describes none."""
        try:
            columns = tuple(ExactColumn(**(one | {"kind": ExactKind(one["kind"])})) for one in document["columns"])
            nulled = tuple(document.get("nulled", ()))
            return cls(document["table"], columns, tuple(document["key"]), document["family"], nulled)
        except (KeyError, TypeError) as error:
            raise ValueError(f"it does not describe a table ({error})") from error


@dataclass(frozen=True)
class SegmentRecord:
    """The record of one segment: what was written to its file, and what was read back from it."""

    rows: int
    bytes: int
    sha256: str
    """The SHA-256 of the file."""
    digest: str
    """The digest of the rows' canonical lines, as they were written."""
    read_back: str
    """The digest of the lines as they were read back from the file."""
    first_key: tuple[str | None, ...] = ()
    """The key of the first row in the file, as text."""
    last_key: tuple[str | None, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the record as a JSON document."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "SegmentRecord":
        """Return the record that a document describes; raise ValueError if it describes none."""
        try:
            own = {field.name: document[field.name] for field in fields(cls)}
            return cls(**(own | {name: tuple(own[name]) for name in ("first_key", "last_key")}))
        except (KeyError, TypeError) as error:
            raise ValueError(f"it is no record of a segment ({error})") from error


@dataclass(frozen=True)
class Sidecar:
    """A segment's record, with all that is needed to read the file without a manifest."""

    name: str
    """The name of the segment's file in its destination."""
    run: int
    table: ArchivedTable
    record: SegmentRecord
    deleted_by: str = ""
    """The file that records which rows were deleted, once that is decided; "": all were, before the segment existed."""
    kept: bool = False
    """Whether its rows were copied only, and stayed in their table."""

    def dumped(self) -> bytes:
        """Return the content of the record's file."""
        own = {"version": self.table.version, "segment": self.name, "run": self.run}
        own |= {"deleted_by": self.deleted_by} if self.deleted_by else {}
        own |= {"kept": True} if self.kept else {}
        return dumped(own | self.record.document() | self.table.document())

    @classmethod
    def loaded(cls, data: bytes) -> "Sidecar":
        """Return the sidecar with that file content; raise ValueError if it is not the record of a segment."""
        document = loaded(data)
        try:
            name, run, deleted_by = document["segment"], document["run"], document.get("deleted_by", "")
            table, record, kept = ArchivedTable.of(document), SegmentRecord.of(document), document.get("kept", False)
            return cls(name, run, table, record, deleted_by, kept)
        except KeyError as error:
            raise ValueError(f"it is no record of a segment ({error})") from error


def dumped(document: Mapping[str, Any]) -> bytes:
    """Return a document as the content of a file in a destination."""
    return json.dumps(document, indent=1, ensure_ascii=True).encode() + b"\n"


def loaded(data: bytes) -> dict[str, Any]:
    """Return the document with that file content.

    Raise ValueError if it is not a document, IntegrityError if a later version of batchops has written it.
    """
    document = json.loads(data)
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    if document.get("version", 0) > LATEST:
        raise IntegrityError("The archive was written by a later version of batchops.", "update batchops.")
    return document


def key_texts(line: bytes | None, columns: Sequence[ExactColumn], key: Sequence[str]) -> tuple[str | None, ...]:
    """Return the key of a row from its canonical line, as texts for JSON; empty for no row."""
    if line is None:
        return ()
    names, found = [column.name for column in columns], fields_of(line)
    values = [found[names.index(name)] for name in key]
    return tuple(None if value is None else value.decode("utf-8", "surrogateescape") for value in values)


def _column(column: ExactColumn) -> dict[str, Any]:
    """Return a column as a JSON document, without the fields that have their default."""
    known = {field.name: field.default for field in fields(ExactColumn)}
    return {name: value for name, value in asdict(column).items() if value != known[name]}
