"""Spools of earlier versions are still read: the rows that a run has deleted may be nowhere else."""

import json
from hashlib import blake2b
from pathlib import Path
from struct import pack

import pytest

from batchops.archive.lines import digest_of
from batchops.archive.spool import frames, read_header
from batchops.errors import IntegrityError

BATCHES = ([b"1\tone", b"2\ttwo"], [b"3\t\\N"])


def frame_1(batch: int, lines: list[bytes]) -> bytes:
    data = b"\n".join(lines)
    head = pack(">4sQQQ16s", b"rows", batch, len(lines), len(data), blake2b(data, digest_size=16).digest())
    return head + data


def spool_1(path: Path) -> list[int]:
    """Write a spool of version 1; return the ends of its frames."""
    parts = [b"batchops spool 1\n" + json.dumps({"table": "t"}).encode() + b"\n"]
    parts += [frame_1(number, lines) for number, lines in enumerate(BATCHES)]
    path.write_bytes(b"".join(parts))
    return [sum(map(len, parts[:n])) for n in (2, 3)]


def test_a_spool_of_version_1_gives_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "1.spool"
    ends = spool_1(path)
    assert read_header(path) == {"table": "t"}
    found = [*frames(path, ends[-1])]
    assert [(one.batch, one.block, one.end) for one in found] == [
        (number, b"\n".join(lines) + b"\n", end) for number, (lines, end) in enumerate(zip(BATCHES, ends, strict=True))
    ]
    assert [one.digest for one in found] == [digest_of(lines) for lines in BATCHES]
    assert [one.batch for one in frames(path, after=ends[0])] == [1]


def test_a_damaged_spool_of_version_1_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "1.spool"
    ends = spool_1(path)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"x")
    assert [one.batch for one in frames(path)] == [0]
    with pytest.raises(IntegrityError, match="damaged"):
        list(frames(path, ends[-1]))


def test_another_file_is_no_spool(tmp_path: Path) -> None:
    path = tmp_path / "1.spool"
    path.write_bytes(b"batchops spool 3\n{}\n")
    with pytest.raises(IntegrityError, match="no spool"):
        read_header(path)
