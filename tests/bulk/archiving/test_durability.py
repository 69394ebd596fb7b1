"""What must be on the disk before a commit, and what a file must give back before its spool goes."""

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from batchops.archive.compressed import compressing, reading_compressed
from batchops.archive.destination import FolderDestination
from batchops.archive.formats import SegmentFormat
from batchops.archive.records import ArchivedTable
from batchops.archive.spool import frames
from batchops.archive.text_rows import TextRows
from batchops.bulk.archiving.drafts import described
from tests.bulk.archiving.archived import rows_in, spools_in
from tests.command import Result, here
from tests.services.database import Database

pytestmark = pytest.mark.in_turn
ROWS = 60


@pytest.fixture
def filled(database: Database) -> Database:
    database.script("CREATE TABLE t (id integer PRIMARY KEY, note varchar(20))")
    database.insert("t", ("id", "note"), [(n, f"n{n}") for n in range(ROWS)])
    return database


def archive(database: Database, folder: Path) -> Result:
    to = ("--to", f"{folder}/", "--format", "jsonl", "--batch-size", "20")
    return here("archive", "t", "--url", database.url, "--all-rows", "-y", "--json", "--retry-timeout", "0s", *to)


def left(database: Database) -> int:
    return int(database.scalar("SELECT count(*) FROM t"))


def name_of(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")


def test_rows_are_on_the_disk_before_they_are_gone(filled: Database, tmp_path: Path) -> None:
    """`left`: what another session sees while the disk is waited for."""
    seen: list[tuple[str, int, int]] = []
    before: list[str] = []
    synced: set[int] = set()
    data, whole = os.fdatasync, os.fsync

    def fdatasync(descriptor: int) -> None:
        name = name_of(descriptor)
        written = sum(frame.digest.rows for frame in frames(Path(name)))
        seen.append((Path(name).suffix, written, left(filled)))
        data(descriptor)

    def fsync(descriptor: int) -> None:
        if not seen:
            before.append(name_of(descriptor))
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        assert not is_file or name_of(descriptor).endswith(".partial")  # before it has its name
        synced.add(os.fstat(descriptor).st_ino)
        whole(descriptor)

    with patch("os.fdatasync", fdatasync), patch("os.fsync", fsync):
        done = archive(filled, tmp_path / "a")
    assert (done.code, seen) == (0, [(".spool", 20, 60), (".spool", 40, 40), (".spool", 60, 20)]), done
    there = [*(tmp_path / "a").rglob("*")]
    assert {path.name for path in there if path.stat().st_ino not in synced} == set()
    assert sum(path.is_file() for path in there) == len(("segment", "record", "manifest", "marker"))
    assert {str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "spools")} <= {*before}


def test_a_disk_that_does_not_keep_rows_keeps_them_in_the_table(filled: Database, tmp_path: Path) -> None:
    calls: list[int] = []

    def fails(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")

    with patch("os.fdatasync", fails):
        done = archive(filled, tmp_path)
    assert (done.code, left(filled), sum(rows_in(tmp_path).values())) == (1, 40, 20), done
    assert "cannot be written: Input/output error. The batch was rolled back." in done.json()["error"]["message"]
    assert (archive(filled, tmp_path).code, left(filled), len(rows_in(tmp_path))) == (0, 0, ROWS)


def one_less(read: Any) -> Any:
    def lines(self: TextRows, file: Any) -> Iterator[bytes]:
        for block in read(self, file):
            yield block[: block.rfind(b"\n", 0, -1) + 1]

    return lines


def another(read: Any) -> Any:
    def lines(self: TextRows, file: Any) -> Iterator[bytes]:
        for block in read(self, file):
            yield b"0\tother\n" + block.partition(b"\n")[2]

    return lines


@pytest.mark.parametrize("damage", [one_less, another])
def test_a_file_that_gives_back_other_rows_is_none(filled: Database, tmp_path: Path, damage: Any) -> None:
    with patch.object(TextRows, "read", damage(TextRows.read)):
        done = archive(filled, tmp_path)
    assert (done.code, done.json()["reason"], done.json()["unsealed"]) == (13, "integrity", ROWS), done
    assert "The rows are safe in spools, but not sealed" in done.json()["error"]["message"]
    assert (left(filled), len(spools_in(tmp_path)), rows_in(tmp_path)) == (0, 1, {})
    again = archive(filled, tmp_path)
    assert (again.code, sum(rows_in(tmp_path).values()), spools_in(tmp_path)) == (0, ROWS, [])


def test_what_a_dead_process_was_writing_does_not_stay(filled: Database, tmp_path: Path) -> None:
    with patch.object(FolderDestination, "publish", side_effect=KeyboardInterrupt):
        archive(filled, tmp_path)
    (staged,) = (tmp_path / "staging").iterdir()
    staged.with_name(f".{staged.name}.1.abcd.partial").write_text("")
    assert (archive(filled, tmp_path).code, sum(rows_in(tmp_path).values())) == (0, ROWS)
    assert not (tmp_path / "staging").exists()


def test_who_has_lost_the_lease_seals_nothing(filled: Database, tmp_path: Path) -> None:
    """As a process that was stopped past its lease, once all rows are in its spools."""

    def taken_over(path: Path) -> tuple[ArchivedTable, SegmentFormat]:
        filled.execute("UPDATE batchops_lease SET token = 'of another'")
        return described(path)

    with patch("batchops.bulk.archiving.sealing.described", taken_over):
        done = archive(filled, tmp_path)
    assert (done.code, done.json()["reason"], done.json()["segments"], len(spools_in(tmp_path))) == (11, "locked", 0, 1)
    assert not (tmp_path / "manifests").exists()
    filled.execute("DELETE FROM batchops_lease")
    assert (archive(filled, tmp_path).code, sum(rows_in(tmp_path).values()), spools_in(tmp_path)) == (0, ROWS, [])


def zstd(text: bytes) -> bytes:
    file = io.BytesIO()
    stream = compressing(file, "zstd")
    stream.write(text)
    stream.close()
    return file.getvalue()


def test_a_file_that_lies_there_already_with_other_rows_is_left_and_the_spool_too(
    filled: Database, tmp_path: Path
) -> None:
    """As if a process had died before it could say that it has written it, or somebody else had."""
    with patch.object(TextRows, "read", one_less(TextRows.read)):
        archive(filled, tmp_path)
    other = tmp_path / "t" / "run-000001" / "000001.jsonl.zst"
    with patch("batchops.ledger.spools.sealed", side_effect=KeyboardInterrupt):
        archive(filled, tmp_path)
    whole, record = other.read_bytes(), other.with_name(f"{other.name}.json")
    own = record.read_text()
    record.write_text(own.replace(f'"rows": {ROWS}', '"rows": 7'))
    assert (archive(filled, tmp_path).code, len(spools_in(tmp_path)), '"rows": 7' in record.read_text()) == (
        13,
        1,
        True,
    )
    record.unlink()
    with reading_compressed(io.BytesIO(whole), "zstd") as plain:
        text = plain.read()
    for content in (whole[: len(whole) // 2], b"", zstd(text.replace(b"n5", b"n6", 1)), zstd(text + text)):
        other.write_bytes(content)
        done = archive(filled, tmp_path)
        assert (done.code, len(spools_in(tmp_path)), other.read_bytes()) == (13, 1, content), done
    other.write_bytes(whole)
    assert (archive(filled, tmp_path).code, sum(rows_in(tmp_path).values()), spools_in(tmp_path)) == (0, ROWS, [])
