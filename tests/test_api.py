"""The library's face is what the specs say, for people, programs and type checkers."""

import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import batchops
from batchops.bulk.spec import BackfillSpec, PurgeSpec
from batchops.queue.spec import DrainSpec
from batchops.spec.models import checked
from batchops.spec.typed import BackfillOptions, DrainOptions, PurgeOptions
from tests.command import ROOT


@pytest.mark.parametrize(
    ("options", "spec"), [(PurgeOptions, PurgeSpec), (BackfillOptions, BackfillSpec), (DrainOptions, DrainSpec)]
)
def test_the_options_are_the_spec_s_fields(options: type, spec: type) -> None:
    fields = spec.model_fields  # type: ignore[attr-defined]
    assert set(get_type_hints(options)) == set(fields)
    assert options.__required_keys__ == {name for name, f in fields.items() if f.is_required()}  # type: ignore[attr-defined]


def test_what_it_offers_is_there() -> None:
    assert all(getattr(batchops, name) is not None for name in batchops.__all__)
    with pytest.raises(AttributeError):
        _ = batchops.prune  # type: ignore[attr-defined]


def test_one_of_several_needs_no_list() -> None:
    spec = checked(BackfillSpec, {"table": "t", "all_rows": True, "set": "a = 1", "allow": "triggers"})
    assert (spec.set, spec.allow) == (("a = 1",), ("triggers",))


@pytest.mark.full
def test_a_type_checker_knows_it(tmp_path: Path) -> None:
    file = tmp_path / "user.py"
    file.write_text(
        "from batchops import Finished, backfill, purge\n"
        "done: Finished = purge(table='t', where='a', rest='1s')\n"
        "backfill(table='t', set=['a = 1'], all_rows=True)\n"
        "purge(tabel='t')\n"
        "backfill(table='t', max_rows='many', set='a = 1')\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", tmp_path / "cache"]
    where = {"PATH": "", "MYPYPATH": str(ROOT)}
    said = subprocess.run([*command, file], capture_output=True, text=True, cwd=tmp_path, env=where).stdout
    lines = {line.split(":")[1] for line in said.splitlines() if ": error: " in line}
    assert lines == {"4", "5"}, said
