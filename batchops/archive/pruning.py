"""The record that runs were pruned, which is written into the chain of manifests before any file is removed."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from batchops.archive.layout import deleted_name, manifest_name, record_name


@dataclass(frozen=True)
class PrunedManifest:
    """A manifest that was removed: what proves the rest of the chain without it."""

    number: int
    sha256: str
    previous: str


@dataclass(frozen=True)
class PrunedSegment:
    """A segment that was removed."""

    name: str
    sidecar_sha256: str
    """The SHA-256 of the file of its record. Another segment may get the same name later, but not the same record."""

    @property
    def files(self) -> tuple[str, ...]:
        """Return the names of its files in the order of their removal: the record, which tells whose they are, last."""
        return self.name, deleted_name(self.name), record_name(self.name)

    def is_record(self, data: bytes) -> bool:
        """Whether this is the content of its record."""
        return hashlib.sha256(data).hexdigest() == self.sidecar_sha256


@dataclass(frozen=True)
class PrunedTable:
    """How much of a table was removed with a run."""

    table: str
    rows: int
    nulled: bool = False
    """Whether these were former values of rows that stayed."""


@dataclass(frozen=True)
class PrunedRun:
    """A run whose files were removed, or are still to be removed after a crash."""

    run: int
    written: str
    """When its last manifest was written."""
    bytes: int
    tables: tuple[PrunedTable, ...]
    manifests: tuple[PrunedManifest, ...]
    segments: tuple[PrunedSegment, ...]

    @property
    def rows(self) -> int:
        """Return the number of archived rows that it had, without values of rows that stayed."""
        return sum(one.rows for one in self.tables if not one.nulled)

    @property
    def files(self) -> Iterator[str]:
        """Yield the names of all its files in the order of their removal."""
        for segment in self.segments:
            yield from segment.files
        yield from (manifest_name(one.number) for one in self.manifests)

    def document(self) -> dict[str, Any]:
        """Return the run as a JSON document."""
        return {"rows": self.rows, **asdict(self)}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "PrunedRun":
        """Return the run that a document describes; raise ValueError if it describes none."""
        try:
            return cls(
                document["run"], document["written"], document["bytes"],
                tuple(PrunedTable(**one) for one in document["tables"]),
                tuple(PrunedManifest(**one) for one in document["manifests"]),
                tuple(PrunedSegment(**one) for one in document["segments"]),
            )  # fmt: skip
        except (KeyError, TypeError) as error:
            raise ValueError(f"it does not say which runs were pruned ({error})") from error


@dataclass(frozen=True)
class FoundPruned:
    """A pruned run, and the record that says so."""

    run: PrunedRun
    manifest: int
    """The number of the record among the manifests."""
    at: str
    """When it was pruned."""

    def document(self) -> dict[str, Any]:
        """Return what people and programs want to know of it."""
        return {
            "run": self.run.run, "rows": self.run.rows, "segments": len(self.run.segments), "bytes": self.run.bytes,
            "tables": [asdict(one) for one in self.run.tables], "written": self.run.written, "pruned": self.at,
            "manifest": self.manifest,
        }  # fmt: skip

    def __str__(self) -> str:
        """Return it as a sentence for people."""
        tables = ", ".join(dict.fromkeys(one.table for one in self.run.tables))
        rows = f"{self.run.rows:,} {'row' if self.run.rows == 1 else 'rows'}"
        return f"run {self.run.run} ({rows} of {tables}) was pruned at {self.at} (manifest {self.manifest})"
