"""kill -9 at every step of a prune: before the N-th link, sync or removal, N = 1, 2, 3 … until one goes through."""

import shutil
import subprocess
from pathlib import Path

import pytest

from batchops.archive.formats import SegmentFormat
from tests.archive.made import archived
from tests.archive.test_prune import TABLE
from tests.command import Batchops
from tests.crash.test_steps import able as able
from tests.figures import Figures

KEPT, GONE = 5, 5
"""Archived rows of the run that stays, and of the run that is pruned."""


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("able")
@pytest.mark.parametrize("calls", ["link,linkat", "fsync", "unlink,unlinkat"])
def test_killed_at_every_step(calls: str, tmp_path: Path, batchops: Batchops, figures: Figures) -> None:
    for run in (1, 2):
        lines = [b"%d" % (100 * run + n) for n in range(5)]
        archived(tmp_path / "whole", TABLE, lines, run=run, rows=3, format=SegmentFormat("jsonl", "gzip"))
    at, code, root = 0, -9, tmp_path / "tried"
    while code:
        at += 1
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(tmp_path / "whole", root)
        strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}"]
        strace += ["-e", f"inject={calls}:signal=KILL:when={at}"]
        argv = [*strace, *batchops.argv("archive", "prune", root, "--run", "1", "-y")]
        code = subprocess.run(argv, capture_output=True, cwd=batchops.home, env=batchops.environment()).returncode
        assert code in (0, -9, 137), code
        found = batchops("archive", "verify", root, "--json")
        document = found.json()
        assert (document["damage"], document["without_manifest"], document["unrecorded"]) == ([], [], [])
        assert document["rows"] == (KEPT if document["pruned"] else KEPT + GONE)
        assert found.code == (3 if document["half_pruned"] else 0)
        assert batchops("archive", "prune", root, "--run", "1", "-y").code == 0
        after = batchops("archive", "verify", root, "--json")
        assert (after.code, after.json()["rows"], len(after.json()["pruned"])) == (0, KEPT, 1)
        assert [*root.rglob("run-000001/*")] == []
    figures(kills=at - 1)
