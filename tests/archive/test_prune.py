"""Old runs are removed from an archive: the rest stays proved, and everybody says what was removed."""

import hashlib
import json
import os
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import batchops as library
from batchops.archive.contents import contents
from batchops.archive.destination import FolderDestination
from batchops.archive.formats import SegmentFormat
from batchops.archive.in_use import reading
from batchops.archive.manifest import Manifest, append_manifest, manifests
from batchops.archive.proved_files import open_proved
from batchops.archive.prune import plan_prune, prune
from batchops.archive.records import ArchivedTable
from batchops.archive.spool import SpoolWriter
from batchops.archive.verify import verify
from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.errors import IntegrityError, NotFoundError, UsageError
from tests.archive.made import archived, sealed
from tests.command import Batchops
from tests.services.database import Database

TABLE = ArchivedTable("t", (ExactColumn("id", "bigint", ExactKind.INT64, nullable=False),), ("id",), "postgresql")
RUNS = range(1, 5)
YEARS = timedelta(days=3 * 365)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four runs of three segments each."""
    for run in RUNS:
        archived(tmp_path / "a", TABLE, [b"%d" % (100 * run + n) for n in range(5)], run=run, rows=2)
    return tmp_path / "a"


def ids(root: Path) -> list[int]:
    with library.archive_query(root, "SELECT id FROM t ORDER BY id") as result:
        return [row[0] for row in result.rows]


def of(*runs: int) -> list[int]:
    return [100 * run + n for run in runs for n in range(5)]


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def age(root: Path, number: int, days: int) -> None:
    """Let a manifest be so old, and those behind it follow it as it is."""
    previous = ""
    for path in sorted((root / "manifests").iterdir()):
        document = json.loads(path.read_text())
        document["previous"] = previous
        if document["number"] == number:
            document["written"] = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")
        path.write_text(json.dumps(document))
        previous = hashlib.sha256(path.read_bytes()).hexdigest()


def test_old_runs_are_removed_and_everybody_says_so(root: Path, batchops: Batchops) -> None:
    age(root, 1, 1000)
    age(root, 2, 800)
    before = files(root)
    plan = batchops("archive", "prune", root, "--older-than", "2y", "--dry-run")
    assert (plan.code, plan.err, files(root)) == (0, "", before)
    assert [line.split()[:3] for line in plan.out.splitlines()[1:]] == [
        ["remove", "run", "1,"],
        ["remove", "run", "2,"],
    ]
    refused = batchops("archive", "prune", root, "--older-than", "2y")
    assert (refused.code, "use -y" in refused.err, files(root)) == (2, True, before)
    done = batchops("archive", "prune", root, "--older-than", "2y", "-y", "--json")
    assert (done.code, done.json()["reason"], done.json()["rows"], done.json()["manifest"]) == (0, "done", 10, 5)
    assert [one["run"] for one in done.json()["pruned"]] == [1, 2]
    gone = before - files(root)
    assert (len(gone), {name for name in gone if "run-000001" not in name and "run-000002" not in name}) == (
        14, {"manifests/00000001.json", "manifests/00000002.json"},
    )  # fmt: skip
    assert not (root / "t/run-000001").exists()
    verified = batchops("archive", "verify", root)
    assert (verified.code, "verified, 10 rows" in verified.out) == (0, True), verified
    assert "run 1 (5 rows of t) was pruned at" in verified.out
    assert [one["run"] for one in batchops("archive", "verify", root, "--json").json()["pruned"]] == [1, 2]
    listed = batchops("archive", "list", root)
    assert [line.split()[:3] for line in listed.out.splitlines()[1:]] == [
        ["3", "t", "5"], ["4", "t", "5"], ["1", "t", "5"], ["2", "t", "5"],
    ]  # fmt: skip
    assert listed.out.count("5: pruned") == 2
    assert batchops("archive", "list", root, "--json").json()["pruned"][1]["rows"] == 5
    shown = batchops("archive", "show", root, "1")
    assert (shown.code, shown.out.startswith("run 1 (5 rows of t) was pruned at")) == (0, True)
    assert batchops("archive", "show", root, "1", "--json").json()["runs"] == []
    asked = batchops("archive", "query", root, "SELECT count(*) FROM t")
    assert (asked.out.splitlines()[1], asked.err.count("was pruned at")) == ("10", 2)
    assert "run 1 (5 rows of t) was pruned" in batchops("archive", "query", root, "SELECT 1", "--run", "1").err
    assert ids(root) == of(3, 4)


def test_what_is_archived_later_continues_the_chain(root: Path) -> None:
    assert [one.run for one in library.archive_prune(root, run=1).runs] == [1]
    assert append_manifest(FolderDestination(root), Manifest(9, ())) == 6
    archived(root, TABLE, [b"7"], run=7)
    assert [one.run for one in library.archive_prune(root, run=4).runs] == [4]
    assert (verify(FolderDestination(root)).damage, ids(root)) == ((), [7, *of(2, 3)])
    assert [(one.run.run, one.manifest) for one in contents(FolderDestination(root)).pruned] == [(1, 5), (4, 8)]
    assert library.archive_prune(root, run=1).files == 0
    assert library.archive_prune(root, older_than="1h").files == 0


def test_all_runs_may_go(root: Path, batchops: Batchops, sqlite: Database) -> None:
    for run in RUNS:
        library.archive_prune(root, run=run)
    assert batchops("archive", "verify", root).code == 0
    restored = batchops("restore", root, "--url", sqlite.url, "--dry-run")
    assert (restored.code, "run 1 (5 rows of t) was pruned at" in restored.err) == (10, True), restored
    assert library.archive_prune(root, older_than=timedelta(0)).runs == ()


@pytest.mark.parametrize("at", [0, 1, 2, 3, 5, 6, 7])
def test_killed_between_two_removals(root: Path, at: int, batchops: Batchops) -> None:
    """Segments, records, manifest: whatever is still there is named, and the next prune removes it."""
    before = files(root)
    killed_after(at, lambda removed: prune(plan_prune(FolderDestination(root), run=2), removed))
    left = sorted(name for name in files(root) if "run-000002" in name or name == "manifests/00000002.json")
    assert (len(left), ids(root)) == (7 - at, of(1, 3, 4))
    verified = batchops("archive", "verify", root, "--json")
    document = verified.json()
    assert (verified.code, document["damage"], document["rows"]) == (3 if left else 0, [], 15)
    assert sorted(document["half_pruned"]) == left
    assert (document["without_manifest"], document["unrecorded"]) == ([], [])
    assert all(name in batchops("archive", "verify", root).out for name in left)
    assert [one["run"] for one in document["pruned"]] == [2]
    again = batchops("archive", "prune", root, "--run", "2", "-y", "--json")
    assert (again.code, again.json()["files"], again.json()["manifest"]) == (0, len(left), None)
    assert len(before - files(root)) == 7
    assert (batchops("archive", "verify", root).code, ids(root)) == (0, of(1, 3, 4))


def killed_after(files: int, work: Callable[[Callable[[str], None]], Any]) -> None:
    """Kill the work in a process of its own, once it has removed so many files; 0: right before the first."""
    child = os.fork()
    if child == 0:
        count = 0

        def removed(_: str) -> None:
            nonlocal count
            count += 1
            if count == files:
                os.kill(os.getpid(), signal.SIGKILL)

        if files == 0:
            FolderDestination.remove = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
        work(removed)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, status


def test_files_that_somebody_deletes_are_still_found(root: Path, batchops: Batchops) -> None:
    library.archive_prune(root, run=2)
    (root / "manifests/00000003.json").rename(root / "3.json")
    assert batchops("archive", "verify", root).code == 13
    assert batchops("archive", "prune", root, "--run", "4", "-y").code == 13
    (root / "3.json").rename(root / "manifests/00000003.json")
    (root / "t/run-000003/000002.parquet").unlink()
    damage = verify(FolderDestination(root)).damage
    assert [(one.what, one.name) for one in damage] == [("missing", "t/run-000003/000002.parquet")]
    archived(root, TABLE, [b"7"], run=7)
    (root / "manifests/00000005.json").unlink()  # the record that run 2 was pruned
    gone = [one.name for one in contents(FolderDestination(root)).damage]
    assert gone == ["manifests/00000002.json", "manifests/00000005.json"]


def test_a_changed_record_of_pruned_runs_is_found(root: Path) -> None:
    library.archive_prune(root, run=2)
    record = root / "manifests/00000005.json"
    document = json.loads(record.read_text())
    document["pruned"][0]["manifests"][0]["previous"] = "0" * 64
    record.write_text(json.dumps(document))
    assert [one.name for one in contents(FolderDestination(root)).damage] == ["manifests/00000002.json"]


def test_runs_that_are_not_finished_stay(root: Path, batchops: Batchops) -> None:
    sealed(
        FolderDestination(root),
        TABLE,
        1,
        [b"1"],
        rows=2,
        format=SegmentFormat("jsonl"),
    )
    (root / "spools").mkdir()
    SpoolWriter(root / "spools/2-1-abc-1.spool", TABLE.document()).close()
    sealed(FolderDestination(root), TABLE, 8, [b"1"])
    before = files(root)
    for run in (1, 2, 8):
        done = batchops("archive", "prune", root, "--run", str(run), "-y", "--json")
        assert (done.code, done.json()["reason"], done.json()["pruned"]) == (3, "incomplete", [])
        assert files(root) == before
        assert done.json()["kept"][0].startswith(f"run {run} stays: it crashed or is at work")
    done = batchops("archive", "prune", root, "--older-than", "0s", "-y", "--json").json()
    assert ([one["run"] for one in done["pruned"]], len(done["kept"])) == ([3, 4], 2)


def test_an_archive_that_is_read_stays(root: Path, batchops: Batchops) -> None:
    with reading(FolderDestination(root)):
        done = batchops("archive", "prune", root, "--run", "1", "-y")
        assert (done.code, "is in use" in done.err) == (11, True)
        assert batchops("archive", "verify", root).code == 0
    with library.archive_query(root, "SELECT count(*) FROM t"):
        assert batchops("archive", "prune", root, "--run", "1", "-y").code == 11
    assert batchops("archive", "prune", root, "--run", "1", "-y").code == 0


def test_a_later_segment_of_the_same_name_is_not_the_pruned_one(root: Path) -> None:
    """A database that was put back to an earlier state gives the same number to another run."""
    library.archive_prune(root, run=4)
    archived(root, TABLE, [b"1", b"2"], run=4)
    assert (verify(FolderDestination(root)).damage, ids(root)) == ((), [1, 2, *of(1, 2, 3)])
    library.archive_prune(root, older_than=YEARS)
    assert ids(root) == [1, 2, *of(1, 2, 3)]


def test_a_run_that_changed_since_it_was_planned_stays(root: Path) -> None:
    plan = plan_prune(FolderDestination(root), timedelta(0), now=datetime.now(UTC) + timedelta(hours=1))
    archived(
        root,
        TABLE,
        [b"7"],
        run=2,
        rows=9,
        format=SegmentFormat("csv"),
    )
    assert [one.run for one in prune(plan).runs] == [1, 3, 4]
    assert ids(root) == [7, *of(2)]


def test_bad_input(root: Path, tmp_path: Path, batchops: Batchops) -> None:
    for words in (["-y"], ["-y", "--older-than", "soon"], ["-y", "--run", "0"], ["-y", "--older-than", "-1d"]):
        done = batchops("archive", "prune", root, *words)
        assert (done.code, done.out, len(done.err.splitlines()) <= 2) == (2, "", True), done
    assert batchops("archive", "prune", root, "-y", "--run", "77").code == 10
    assert batchops("archive", "prune", tmp_path / "nowhere", "-y", "--run", "1").code == 10
    with pytest.raises(UsageError):
        library.archive_prune(root)
    with pytest.raises(NotFoundError):
        library.archive_prune(root, run=77)
    (root / "manifests/00000002.json").unlink()
    with pytest.raises(IntegrityError):
        library.archive_prune(root, run=1)


def test_a_manifest_that_is_pruned_while_another_is_written(root: Path) -> None:
    """The writer's listing names it as the last one, or as one of several, and it is gone when the writer reads it."""

    class Late(FolderDestination):
        listed: Sequence[str] = ()

        def names(self, under: str = "") -> Sequence[str]:
            found, self.listed = self.listed or super().names(under), ()
            return found

    late = Late(root)
    late.listed = late.names("manifests/")
    library.archive_prune(root, run=4)
    assert append_manifest(late, Manifest(9, ())) == 6
    late.listed = late.names("manifests/")
    library.archive_prune(root, run=2)
    assert [one.number for one in manifests(late)] == [1, 3, 5, 6]
    late.listed = [*late.names(), "manifests/00000002.json", "t/run-000002/000001.parquet.json"]
    assert contents(late).damage == []
    assert verify(FolderDestination(root)).damage == ()


def test_a_reader_of_a_bucket_is_told_what_was_pruned_meanwhile(root: Path) -> None:
    """A bucket has no lock: the reader has listed what is removed then."""
    destination = FolderDestination(root)
    listed = contents(destination).of(run=2)
    library.archive_prune(root, run=2)
    with pytest.raises(IntegrityError, match=r"was removed meanwhile: run 2 \(5 rows of t\) was pruned at"):
        open_proved(destination, listed[0])
    (root / "t/run-000003/000001.parquet").unlink()
    with pytest.raises(IntegrityError, match=r"000001.parquet is missing, with 2 archived rows"):
        open_proved(destination, contents(destination).of(run=3)[0])
