"""What is known of a segment: the record that lies beside its file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.errors import IntegrityError

FIRST, LATEST = 1, 2
"""Formats. Only the second has values of rows that stayed, which a reader of the first would take for rows."""


@dataclass(frozen=True)
class ArchivedTable:
    """The table that rows come from, as it was then."""

    label: str
    columns: tuple[ExactColumn, ...]
    key: tuple[str, ...]
    family: str = ""
    """Whose types the columns have: `ExactColumns.family`."""
    nulled: tuple[str, ...] = ()
    """Not empty: these are no archived rows, but values of rows that stayed, with their key. The archive has set these
    columns to NULL, as they referred to rows that it took."""

    @property
    def version(self) -> int:
        """Of the format that it needs."""
        return LATEST if self.nulled else FIRST

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        own = {"table": self.label, "family": self.family, "key": list(self.key)}
        own |= {"nulled": list(self.nulled)} if self.nulled else {}
        return own | {"columns": [*map(_column, self.columns)]}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "ArchivedTable":
        """The same of a document; ValueError where it is none."""
        try:
            columns = tuple(ExactColumn(**(one | {"kind": ExactKind(one["kind"])})) for one in document["columns"])
            nulled = tuple(document.get("nulled", ()))
            return cls(document["table"], columns, tuple(document["key"]), document["family"], nulled)
        except (KeyError, TypeError) as error:
            raise ValueError(f"it does not describe a table ({error})") from error


@dataclass(frozen=True)
class SegmentRecord:
    """One segment: what was written into its file, and what the file gave back."""

    rows: int
    bytes: int
    sha256: str
    """Of the file."""
    digest: str
    """Of the rows' canonical lines, as they were written."""
    read_back: str
    """The same, as the file gave them back."""
    first_key: tuple[str | None, ...] = ()
    """The key of the first row in the file, as text."""
    last_key: tuple[str | None, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "SegmentRecord":
        """The same of a document; ValueError where it is none."""
        try:
            own = {field.name: document[field.name] for field in fields(cls)}
            return cls(**(own | {name: tuple(own[name]) for name in ("first_key", "last_key")}))
        except (KeyError, TypeError) as error:
            raise ValueError(f"it is no record of a segment ({error})") from error


@dataclass(frozen=True)
class Sidecar:
    """A segment's record with all that its file needs to be read without a manifest."""

    name: str
    """The file's, in its destination."""
    run: int
    table: ArchivedTable
    record: SegmentRecord
    deleted_by: str = ""
    """The file that says which of its rows were deleted, once that is decided; empty: all were before it was there."""
    kept: bool = False
    """Whether its rows were copied, and stayed in their table."""

    def dumped(self) -> bytes:
        """The content of the file beside the segment."""
        own = {"version": self.table.version, "segment": self.name, "run": self.run}
        own |= {"deleted_by": self.deleted_by} if self.deleted_by else {}
        own |= {"kept": True} if self.kept else {}
        return dumped(own | self.record.document() | self.table.document())

    @classmethod
    def loaded(cls, data: bytes) -> "Sidecar":
        """The sidecar of such a content; ValueError where it is none."""
        document = loaded(data)
        try:
            name, run, deleted_by = document["segment"], document["run"], document.get("deleted_by", "")
            table, record, kept = ArchivedTable.of(document), SegmentRecord.of(document), document.get("kept", False)
            return cls(name, run, table, record, deleted_by, kept)
        except KeyError as error:
            raise ValueError(f"it is no record of a segment ({error})") from error


def dumped(document: Mapping[str, Any]) -> bytes:
    """A document as it lies in a destination."""
    return json.dumps(document, indent=1, ensure_ascii=True).encode() + b"\n"


def loaded(data: bytes) -> dict[str, Any]:
    """The document; ValueError where it is none, IntegrityError where a later batchops has written it."""
    document = json.loads(data)
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    if document.get("version", 0) > LATEST:
        raise IntegrityError("The archive was written by a later version of batchops.", "update batchops.")
    return document


def key_texts(values: Sequence[bytes | None]) -> tuple[str | None, ...]:
    """A key as JSON holds it."""
    return tuple(None if value is None else value.decode("utf-8", "surrogateescape") for value in values)


def _column(column: ExactColumn) -> dict[str, Any]:
    """What says something: defaults are left out."""
    known = {field.name: field.default for field in fields(ExactColumn)}
    return {name: value for name, value in asdict(column).items() if value != known[name]}
