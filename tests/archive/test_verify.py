"""A destination without a database: what verify says of it, whose it is, and manifests that several write."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from batchops.archive.contents import contents
from batchops.archive.destination import FolderDestination
from batchops.archive.manifest import Manifest, append_manifest, manifests
from batchops.archive.ownership import DestinationOwner, claim, owner_of
from batchops.archive.records import ArchivedTable
from batchops.archive.verify import verify
from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.errors import IntegrityError, NotFoundError, RefusedError
from tests.archive.made import OWNER, archived, sealed
from tests.command import Batchops

TABLE = ArchivedTable(
    "shop.orders",
    (ExactColumn("id", "bigint", ExactKind.INT64, nullable=False), ExactColumn("note", "text", ExactKind.TEXT)),
    ("id",),
    "postgresql",
)
LINES = [b"%d\tnote %d" % (n, n) for n in range(1, 2501)]
SEGMENT = "shop.orders/run-000001/000002.parquet"
MANIFEST = "manifests/00000001.json"


def found(root: Path) -> list[tuple[str, str]]:
    return [(damage.what, damage.name) for damage in verify(FolderDestination(root)).damage]


def test_a_whole_archive(tmp_path: Path, batchops: Batchops) -> None:
    archived(tmp_path, TABLE, LINES)
    done = batchops("archive", "verify", str(tmp_path))
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{tmp_path}: verified, 2,500 rows are as they were archived (3 files, 1 manifest)\n"
    document = json.loads(batchops("archive", "verify", str(tmp_path), "--json").out)
    assert (document["exit"], document["rows"], document["damage"], document["segments"]) == (0, 2500, [], 3)


def test_the_chain_of_manifests_is_never_cut(tmp_path: Path) -> None:
    """A copy beside a manifest is none; without the last manifest, no other follows it."""
    destination = archived(tmp_path, TABLE, LINES)
    shutil.copy(tmp_path / MANIFEST, tmp_path / "manifests/00000007.json.old")
    assert append_manifest(destination, Manifest(2, ())) == 2
    assert contents(destination).damage == []
    (tmp_path / "manifests/00000003.json").symlink_to(tmp_path / "gone")
    with pytest.raises(IntegrityError, match=r"manifests/00000003.json in .* cannot be read"):
        append_manifest(destination, Manifest(3, ()))
    with pytest.raises(IntegrityError, match="listed, and not found"):
        list(manifests(destination))


def test_list_and_show(tmp_path: Path, batchops: Batchops) -> None:
    archived(tmp_path, TABLE, LINES)
    archived(tmp_path, TABLE, [b"9000\t\\N"], run=2)
    header, first, second = batchops("archive", "list", str(tmp_path)).out.splitlines()
    assert header.split() == ["RUN", "TABLE", "ROWS", "FILES", "BYTES", "MANIFEST", "WRITTEN"]
    assert first.split()[:4] == ["1", "shop.orders", "2,500", "3"]
    assert second.split()[:4] == ["2", "shop.orders", "1", "1"]
    shown = batchops("archive", "show", str(tmp_path), "2")
    assert (shown.code, shown.err) == (0, "")
    assert "run 2: shop.orders, 1 row in 1 file" in shown.out
    assert "condition      x < 5" in shown.out
    assert "from 9000 to 9000" in shown.out
    document = json.loads(batchops("archive", "show", str(tmp_path), "--json").out)
    assert [run["rows"] for run in document["runs"]] == [2500, 1]
    assert document["owner"]["database_id"] == OWNER.database_id
    missing = batchops("archive", "show", str(tmp_path), "7")
    assert (missing.code, "Run 7 has archived nothing" in missing.err) == (10, True)


def test_no_archive_is_no_verified_one(tmp_path: Path, batchops: Batchops) -> None:
    done = batchops("archive", "verify", str(tmp_path / "nowhere"))
    assert (done.code, "There is no archive in" in done.err) == (10, True)
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(NotFoundError):
        contents(FolderDestination(tmp_path))


def test_a_changed_file_is_named(tmp_path: Path, batchops: Batchops) -> None:
    archived(tmp_path, TABLE, LINES)
    path = tmp_path / SEGMENT
    data = path.read_bytes()
    path.write_bytes(data[:500] + bytes([data[500] ^ 1]) + data[501:])
    assert found(tmp_path) == [("changed", SEGMENT)]
    done = batchops("archive", "verify", str(tmp_path))
    assert done.code == 13
    assert "DAMAGED, 1,500 rows are as they were archived" in done.out
    assert f"  changed   {SEGMENT}: its SHA-256" in done.out


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    archived(tmp_path, TABLE, LINES)
    (tmp_path / SEGMENT).write_bytes((tmp_path / SEGMENT).read_bytes()[:-1])
    assert found(tmp_path) == [("truncated", SEGMENT)]


def test_missing_files_are_named(tmp_path: Path) -> None:
    archived(tmp_path, TABLE, LINES)
    archived(tmp_path, TABLE, LINES[:10], run=2)
    (tmp_path / SEGMENT).unlink()
    assert found(tmp_path) == [("missing", SEGMENT)]
    (tmp_path / SEGMENT.replace("02.", "03.")).with_suffix(".parquet.json").unlink()
    (tmp_path / MANIFEST).unlink()
    assert ("missing", MANIFEST) in found(tmp_path)


def test_a_file_in_place_of_another_is_named(tmp_path: Path) -> None:
    """Same size or not, whole or not: it is not the one."""
    archived(tmp_path, TABLE, LINES)
    other = tmp_path / SEGMENT.replace("02.", "01.")
    (tmp_path / SEGMENT).write_bytes(other.read_bytes())
    assert [name for _, name in found(tmp_path)] == [SEGMENT]


def test_a_record_that_was_made_to_fit_is_named(tmp_path: Path) -> None:
    """Whoever changes a file with its record breaks the manifest; who changes a manifest breaks the next one."""
    archived(tmp_path, TABLE, LINES)
    archived(tmp_path, TABLE, LINES[:10], run=2)
    sidecar = tmp_path / f"{SEGMENT}.json"
    sidecar.write_text(sidecar.read_text().replace('"rows": 1000', '"rows": 999'))
    assert found(tmp_path) == [("changed", f"{SEGMENT}.json")]
    manifest = tmp_path / MANIFEST
    manifest.write_text(manifest.read_text().replace("x < 5", "x < 6"))
    assert ("changed", "manifests/00000002.json") in found(tmp_path)
    manifest.write_text("{")
    assert ("unreadable", MANIFEST) in found(tmp_path)


def test_other_rows_are_named_where_file_and_record_agree(tmp_path: Path) -> None:
    """Sizes and SHA-256 are the new file's: only the digest of the rows as they were deleted tells."""
    destination = FolderDestination(tmp_path)
    claim(destination, OWNER)
    ((name, record, data),) = sealed(destination, TABLE, 1, LINES[:100])
    ((_, forged, _),) = sealed(FolderDestination(tmp_path / "forged"), TABLE, 1, LINES[1:101])
    (tmp_path / name).write_bytes((tmp_path / "forged" / name).read_bytes())
    sidecar = json.loads(data) | {"sha256": forged.sha256, "bytes": forged.bytes}
    (tmp_path / f"{name}.json").write_text(json.dumps(sidecar))
    shutil.rmtree(tmp_path / "forged")
    (damage,) = verify(destination).damage
    assert (damage.name, "are not the 100 that were archived" in damage.text, record.rows) == (name, True, 100)


def test_a_run_without_a_manifest_counts_by_its_records(tmp_path: Path, batchops: Batchops) -> None:
    destination = archived(tmp_path, TABLE, LINES)
    sealed(destination, TABLE, 2, LINES[:5])
    (tmp_path / "shop.orders" / "run-000002" / "000002.parquet").write_bytes(b"PAR1")
    (tmp_path / "shop.orders" / "run-000002" / "w0-abc.spool").write_bytes(b"")
    (tmp_path / "shop.orders" / "run-000002" / ".000003.parquet.1.2.partial").write_bytes(b"x")
    done = batchops("archive", "verify", str(tmp_path))
    assert done.code == 0
    assert "2,505 rows" in done.out
    assert "run 2 has no manifest: it crashed or is at work; 1 file by records" in done.out
    assert "000002.parquet has no record" in done.out
    assert "w0-abc.spool is a spool" in done.out
    (tmp_path / "shop.orders" / "run-000002" / "000001.parquet").unlink()
    assert batchops("archive", "verify", str(tmp_path)).code == 13


def test_a_later_version_is_not_guessed_at(tmp_path: Path) -> None:
    archived(tmp_path, TABLE, LINES)
    manifest = tmp_path / MANIFEST
    manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 4', 1))
    with pytest.raises(IntegrityError, match="later version"):
        contents(FolderDestination(tmp_path))


def test_a_destination_belongs_to_one_database_and_one_host(tmp_path: Path) -> None:
    destination = FolderDestination(tmp_path / "new" / "deep")
    claim(destination, OWNER)
    claim(destination, OWNER)
    assert owner_of(destination) == OWNER
    with pytest.raises(RefusedError, match="another database"):
        claim(destination, DestinationOwner("other", OWNER.host))
    with pytest.raises(RefusedError, match="restored copy"):
        claim(destination, DestinationOwner(OWNER.database_id, "other host"))
    at = DestinationOwner("id", "host", "db (127.0.0.1)", "1")
    moved = FolderDestination(tmp_path / "moved")
    claim(moved, at)
    for same in ("db (localhost)", "db (localhost:5432)", "db ([::1])"):
        claim(moved, replace(at, database=same))
    for other in ("db (localhost:5433)", "db2 (localhost)", "db (10.0.0.1)"):
        with pytest.raises(RefusedError, match="restored copy"):
            claim(moved, replace(at, database=other))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("x")
    with pytest.raises(RefusedError, match="is not empty"):
        claim(FolderDestination(tmp_path / "full"), OWNER)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    destination = FolderDestination(tmp_path / "dest")
    assert destination.create("a/b", b"first")
    assert not destination.create("a/b", b"second")
    staged = destination.staging() / "x"
    staged.write_bytes(b"second")
    with pytest.raises(IntegrityError, match="another content"):
        destination.publish(staged, "a/b")
    assert destination.read("a/b") == b"first"
    staged.write_bytes(b"first")
    destination.publish(staged, "a/b")
    assert not staged.exists()


WRITER = """
import sys
from pathlib import Path
from batchops.archive.destination import FolderDestination
from batchops.archive.manifest import Manifest, append_manifest, manifests
for number in range(25):
    append_manifest(FolderDestination(Path(sys.argv[1])), Manifest(int(sys.argv[2]) * 100 + number, ()))
"""


def test_two_processes_write_one_chain(tmp_path: Path) -> None:
    """Who loses the race for a number reads again and chains anew: no manifest is lost, none is behind two."""
    claim(FolderDestination(tmp_path), OWNER)
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, str(number)]) for number in (1, 2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    inside = contents(FolderDestination(tmp_path))
    assert inside.damage == []
    assert [one.number for one in inside.manifests] == list(range(1, 51))
    assert {one.manifest.run for one in inside.manifests} == {w * 100 + n for w in (1, 2) for n in range(25)}
    number = append_manifest(FolderDestination(tmp_path), Manifest(7, ()))
    assert number == 51
