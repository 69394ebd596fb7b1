"""Spools become segments: written, read back, listed in the ledger, and only then removed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from batchops.archive.deleted import DeletedRows
from batchops.archive.destination import Destination
from batchops.archive.formats import SegmentFormat, format_here, format_of_name
from batchops.archive.inexact import InexactRowsError
from batchops.archive.layout import NULLED, record_name, segment_name
from batchops.archive.lines import RowsDigest
from batchops.archive.manifest import (
    PARTITIONS,
    ListedSegment,
    Manifest,
    TableSegments,
    append_manifest,
    listed_of,
    manifests,
)
from batchops.archive.records import ArchivedTable, SegmentRecord, Sidecar, key_texts
from batchops.archive.segments import read_segment, sha256_of
from batchops.archive.spool import SUFFIX
from batchops.bulk.archiving.drafts import Drafts, described
from batchops.db.table import Table
from batchops.errors import IntegrityError, LockedError, NotFoundError
from batchops.finished_details import Archived
from batchops.ledger import spools
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import DROPPED, Run
from batchops.ledger.spools import MODULUS, Spool
from batchops.runtime import lease
from batchops.runtime.lease import Lease


@dataclass(frozen=True)
class Sealer:
    """Seals spools of one job's runs; only the holder of the job's lease gets anything done."""

    ledger: Ledger
    held: Lease
    destination: Destination
    drafts: Drafts
    about: dict[str, Any]
    """What a manifest says besides its segments."""

    @property
    def kept(self) -> bool:
        """Whether rows stay in their table."""
        return bool(self.about.get("kept"))

    def seal(self, run: int, parts: Sequence[Spool]) -> int:
        """Make these spools, to which nobody writes any more, one segment; return its number. It may be repeated."""
        number = parts[0].segment
        if number is None:
            with self.fenced() as connection:
                number = spools.assign(connection, self.ledger, run, parts)
        table, format = described(self.drafts.path(parts[0]))
        name = name_of_segment(table, run, number, format)
        try:
            record = self._placed(name, table, format, parts)
        except InexactRowsError:  # the rows are deleted: what no check has foreseen is kept as text
            format = format_here("jsonl")
            name = name_of_segment(table, run, number, format)
            record = self._placed(name, table, format, parts)
        self.write(record_name(name), Sidecar(name, run, table, record, kept=self.kept).dumped())
        with self.fenced() as connection:
            spools.sealed(connection, self.ledger, run, number, {"name": name} | record.document())
        self._remove(parts)
        return number

    def write(self, name: str, data: bytes) -> None:
        """Create a small file; IntegrityError if it exists with another content."""
        if not self.destination.create(name, data) and self.destination.read(name) != data:
            raise IntegrityError(f"{name} is there already with another content.", "look at who wrote it.")

    def left_behind(self) -> Iterator[tuple[int, list[Spool]]]:
        """Yield the spools of this and earlier processes that are still to be sealed, in the groups decided before."""
        with self.ledger.database.reading() as connection:
            found = spools.unsealed(connection, self.ledger, self.held.job)
        groups: dict[tuple[int, int | None, str], list[Spool]] = {}
        for spool in found:
            alone = spool.name if spool.segment is None else ""
            groups.setdefault((spool.run, spool.segment, alone), []).append(spool)
        yield from ((run, parts) for (run, _, _), parts in groups.items())

    def list_run(self, run: int) -> None:
        """Write a manifest of the run's segments that no manifest lists yet."""
        with self.ledger.database.reading() as connection:
            names = [record["name"] for record in spools.records(connection, self.ledger, run)]
            partitions = self.ledger.one(connection, run).pinned.get(DROPPED, ())
        found = [*manifests(self.destination)]
        before = [one.manifest for one in found if one.manifest.run == run]
        listed = {one.name for manifest in before for table in manifest.tables for one in table.segments}
        pruned = {segment.name: segment for one in found for gone in one.pruned for segment in gone.segments}
        tables: dict[str, tuple[ArchivedTable, list[ListedSegment]]] = {}
        for name in names:
            if name in listed:
                continue
            try:
                data = self.destination.read(record_name(name))
            except NotFoundError:
                if name not in pruned:
                    raise
                continue
            if name in pruned and pruned[name].is_record(data):  # it is still to be removed
                continue
            sidecar = Sidecar.loaded(data)
            own = tables.setdefault(repr(sidecar.table), (sidecar.table, []))
            own[1].extend(
                replace(one, deleted=self._deleted(sidecar)) for one in listed_of([(name, sidecar.record, data)])
            )
        if tables:
            of = tuple(TableSegments(table, tuple(segments)) for table, segments in tables.values())
            about = self.about | ({PARTITIONS: partitions} if partitions else {})
            append_manifest(self.destination, Manifest(run, of, about))

    def archived(self, run: Run, tables: Sequence[Table]) -> Archived:
        """Return what the whole run has archived of the tables, for its summary; the one that was named comes first."""
        to, (root, *others) = self.destination.shown, tables
        with self.ledger.database.reading() as connection:
            sealed = spools.records(connection, self.ledger, run.run)
            waiting = spools.unsealed(connection, self.ledger, run.job)
            dropped = self.ledger.one(connection, run.run).pinned.get(DROPPED, ())
        rows = f"--of-run {run.run}" if others else f"--table {root.label}"
        return Archived(
            to=to, segments=len(sealed), bytes=sum(one["bytes"] for one in sealed),
            unsealed=sum(spool.rows for spool in waiting),
            verify=f"batchops archive verify {to}" if sealed else None,
            restore=f"batchops restore {to} {rows}" if sealed else None, partitions=len(dropped),
        )  # fmt: skip

    def _deleted(self, sidecar: Sidecar) -> DeletedRows | None:
        return DeletedRows.loaded(self.destination.read(sidecar.deleted_by)) if sidecar.deleted_by else None

    def remove_unknown(self, run: int) -> None:
        """Remove spools of the run without a committed batch, and those that are sealed."""
        with self.ledger.database.reading() as connection:
            known = spools.names_of(connection, self.ledger, run)
            waiting = {spool.name for spool in spools.unsealed(connection, self.ledger, self.held.job)}
        for path in self.drafts.folder.glob(f"{run}-*{SUFFIX}"):
            if path.stem not in known or path.stem not in waiting:
                path.unlink(missing_ok=True)

    def _placed(
        self, name: str, table: ArchivedTable, format: SegmentFormat, parts: Sequence[Spool]
    ) -> SegmentRecord:  # fmt: skip
        """Put the segment in its place, unless an earlier process has; return its record."""
        rows = sum(part.rows for part in parts)
        expected = f"{sum(part.digest for part in parts) % MODULUS:032x}"
        try:
            with self.destination.open(name):
                pass
        except NotFoundError:
            made = self.destination.staging() / f"{self.held.token}-{name.replace('/', '_')}"
            made.unlink(missing_ok=True)
            with self.drafts.complete(parts, table, format) as draft:
                record = draft.finish(made, RowsDigest(expected, rows))
            self.destination.publish(made, name)
            return record
        return self._as_it_lies(name, table, rows, expected)

    def _as_it_lies(self, name: str, table: ArchivedTable, rows: int, expected: str) -> SegmentRecord:
        """Return the record of a segment that a process left without one, if it gives back the rows that it should."""
        format, read = format_of_name(name), RowsDigest()
        assert format is not None  # we have named it
        first = last = None
        with self.destination.open(name) as file:
            for block in read_segment(file, table.columns, format):
                read.add(block)
                first, last = (block[0] if first is None else first), block[-1]
            file.seek(0)
            sha256, size = sha256_of(file), file.tell()
        if (read.rows, str(read)) != (rows, expected):
            raise IntegrityError(
                f"{name} is there already with other rows.", "look at who else writes there; nothing was removed."
            )
        first_key, last_key = (key_texts(line, table.columns, table.key) for line in (first, last))
        return SegmentRecord(rows, size, sha256, expected, str(read), first_key, last_key)

    def _remove(self, parts: Sequence[Spool]) -> None:
        for part in parts:
            with suppress(OSError):  # what is sealed is removed by the next run too
                (self.drafts.folder / f"{part.name}{SUFFIX}").unlink(missing_ok=True)

    @contextmanager
    def fenced(self) -> Iterator[sa.Connection]:
        """Open a transaction on the ledger that proves, and renews, the job's lease."""
        with self.ledger.database.transaction(durable=True) as connection:
            if not lease.renew_within(connection, self.ledger, self.held):
                raise LockedError(
                    "Another process has taken the run over; this one sealed nothing more.",
                    "nothing is lost: see `batchops runs`.",
                )
            yield connection


def name_of_segment(table: ArchivedTable, run: int, number: int, format: SegmentFormat, token: str = "") -> str:
    """Return the name of a segment of the table; see `segment_name`."""
    return (NULLED if table.nulled else "") + segment_name(table.label, run, number, format, token)
