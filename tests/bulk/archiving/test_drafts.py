"""Segments that are written while their spools grow: nothing of a draft counts that its spools do not hold."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from batchops.archive.destination import FolderDestination
from batchops.archive.formats import SegmentFormat
from batchops.archive.inexact import InexactRowsError
from batchops.archive.lines import RowsDigest, digest_of
from batchops.archive.records import ArchivedTable
from batchops.archive.segments import SegmentDraft, read_segment
from batchops.archive.spool import Frame, SpoolWriter, frames
from batchops.bulk.archiving.drafts import Drafts
from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.exact_text import block_of, lines_in
from batchops.errors import IntegrityError
from batchops.ledger.spools import Spool
from tests.bulk.archiving.archived import rows_in, spools_in
from tests.bulk.archiving.test_durability import ROWS, archive, filled, left
from tests.services.database import Database

TABLE = ArchivedTable("t", (ExactColumn("id", "bigint", ExactKind.INT64),), ("id",))
OTHER = ArchivedTable("u", TABLE.columns, TABLE.key)
__all__ = ["filled"]


class Growing:
    """A spool to which a worker writes, and what was read of it."""

    def __init__(self, folder: Path, name: str, table: ArchivedTable = TABLE, format: str = "parquet") -> None:
        header = table.document() | {"format": {"name": format, "compression": "zstd"}}
        self._writer = SpoolWriter(folder / f"{name}.spool", header)
        self.name = name
        self.lines: list[bytes] = []
        self._batches = 0

    def grows(self, *lines: bytes) -> Spool:
        """With a batch more, behind which lies one that is not committed."""
        self._batches += 1
        self._writer.length = self._writer.append(self._batches, block_of(lines), digest_of(lines))
        self._writer.append(self._batches + 1, b"7\n7\n", digest_of([b"7", b"7"]))
        self.lines += lines
        return self.spool()

    def spool(self) -> Spool:
        return Spool(1, self.name, self._writer.length, len(self.lines), 0)


@pytest.fixture
def drafts(tmp_path: Path) -> Iterator[Drafts]:
    (tmp_path / "spools").mkdir()
    made = Drafts(tmp_path / "spools", FolderDestination(tmp_path))
    yield made
    made.discard()
    assert not staged(tmp_path)


def staged(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("staging/*"))


def finished(draft: SegmentDraft, root: Path, lines: list[bytes]) -> None:
    """It holds these rows, and is gone from where it was written."""
    with draft:
        draft.finish(root / "segment", digest_of(lines))
    with (root / "segment").open("rb") as file:
        found = [line for block in read_segment(file, TABLE.columns, draft.format) for line in block]
    assert sorted(found) == sorted(lines)


def test_only_what_is_new_is_read(drafts: Drafts, tmp_path: Path) -> None:
    one, read = Growing(drafts.folder, "1-1-a-1"), list[bytes]()

    def seen(*of: Any) -> Iterator[Frame]:
        for frame in frames(*of):
            read.extend(lines_in(frame.block))
            yield frame

    with patch("batchops.bulk.archiving.drafts.frames", seen):
        drafts.follow(one.grows(b"1", b"2"))
        drafts.follow(one.grows(b"3"))
        assert read == one.lines
        assert len(staged(tmp_path)) == 1
        one.grows(b"4")
        draft = drafts.complete([one.spool()], TABLE, SegmentFormat())
    assert read == one.lines
    finished(draft, tmp_path, one.lines)


def test_one_of_several_spools_is_followed(drafts: Drafts, tmp_path: Path) -> None:
    one, two, other = (Growing(drafts.folder, *of) for of in (("1-2-a-1",), ("1-1-b-1",), ("1-1-c-1", OTHER)))
    for number in range(3):
        drafts.follow(one.grows(b"1%d" % number))
        drafts.follow(two.grows(b"2%d" % number))
        drafts.follow(other.grows(b"3%d" % number))
    assert [name.partition(".")[2].partition(".")[0] for name in staged(tmp_path)] == ["1-1-c-1", "1-2-a-1"]
    finished(drafts.complete([two.spool(), one.spool()], TABLE, SegmentFormat()), tmp_path, one.lines + two.lines)


def test_a_draft_with_more_than_counts_is_written_anew(drafts: Drafts, tmp_path: Path) -> None:
    """A server that fell had said more of the spool than it has kept."""
    one = Growing(drafts.folder, "1-1-a-1")
    kept = one.grows(b"1", b"2")
    drafts.follow(one.grows(b"3"))
    finished(drafts.complete([kept], TABLE, SegmentFormat()), tmp_path, [b"1", b"2"])


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), InexactRowsError([])])
def test_a_draft_that_failed_is_written_anew(drafts: Drafts, tmp_path: Path, error: Exception) -> None:
    one, add = Growing(drafts.folder, "1-1-a-1"), SegmentDraft.add

    def fails(own: SegmentDraft, block: bytes, digest: RowsDigest) -> None:
        add(own, block, digest)
        raise error

    drafts.follow(one.grows(b"1"))
    with patch.object(SegmentDraft, "add", fails):
        drafts.follow(one.grows(b"2"))
    drafts.follow(one.grows(b"3"))
    assert not staged(tmp_path)
    finished(drafts.complete([one.spool()], TABLE, SegmentFormat()), tmp_path, one.lines)


def test_another_format_than_the_spool_says(drafts: Drafts, tmp_path: Path) -> None:
    """As after a value that Parquet could not hold."""
    one = Growing(drafts.folder, "1-1-a-1")
    drafts.follow(one.grows(b"1"))
    finished(drafts.complete([one.spool()], TABLE, SegmentFormat("jsonl")), tmp_path, one.lines)


def test_a_draft_with_other_rows_is_no_segment(drafts: Drafts, tmp_path: Path) -> None:
    one = Growing(drafts.folder, "1-1-a-1")
    drafts.follow(one.grows(b"1"))
    with pytest.raises(IntegrityError):
        finished(drafts.complete([one.spool()], TABLE, SegmentFormat()), tmp_path, [b"2"])
    assert not staged(tmp_path)


def missing(frames: Callable[..., Iterator[Frame]]) -> Callable[..., Iterator[Frame]]:
    """The second frame that is read is without its rows."""
    count = 0

    def less(*of: Any) -> Iterator[Frame]:
        nonlocal count
        for frame in frames(*of):
            count += 1
            yield replace(frame, block=b"") if count == 2 else frame

    return less


def twice(frames: Callable[..., Iterator[Frame]]) -> Callable[..., Iterator[Frame]]:
    """The second frame that is read comes twice."""
    count = 0

    def more(*of: Any) -> Iterator[Frame]:
        nonlocal count
        for frame in frames(*of):
            count += 1
            yield from [frame] * (2 if count == 2 else 1)

    return more


@pytest.mark.parametrize("wrong", [missing, twice])
@pytest.mark.in_turn
def test_a_frame_that_is_missing_or_doubled_is_noticed(filled: Database, tmp_path: Path, wrong: Any) -> None:
    with patch("batchops.bulk.archiving.drafts.frames", wrong(frames)):
        done = archive(filled, tmp_path)
    assert (done.code, done.json()["reason"], done.json()["unsealed"]) == (13, "integrity", ROWS), done
    assert (left(filled), len(spools_in(tmp_path)), rows_in(tmp_path)) == (0, 1, {})
    again = archive(filled, tmp_path)
    assert (again.code, sum(rows_in(tmp_path).values()), spools_in(tmp_path)) == (0, ROWS, [])
    assert not (tmp_path / "staging").exists()
