"""The library's face is what the specs say, for people, programs and type checkers."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import sqlalchemy as sa

import batchops
from batchops.bulk.archiving.spec import ArchiveSpec
from batchops.bulk.spec import BackfillSpec, PurgeSpec
from batchops.outbox.spec import RelaySpec, ReplaySpec
from batchops.queue.spec import DrainSpec
from batchops.restore.spec import RestoreSpec
from batchops.spec.models import checked
from batchops.spec.typed import (
    ArchiveOptions,
    BackfillOptions,
    DrainOptions,
    PurgeOptions,
    RelayOptions,
    ReplayOptions,
    RestoreOptions,
)
from batchops.verbs import VERBS
from tests.cli.conftest import filled
from tests.command import ROOT
from tests.services.database import Database

OPTIONS = (PurgeOptions, BackfillOptions, ArchiveOptions, RestoreOptions, DrainOptions, RelayOptions, ReplayOptions)
"""In the registry's order."""


@pytest.fixture
def lite(sqlite: Database) -> Database:
    """A SQLite file with a thousand rows."""
    return filled(sqlite)


@pytest.mark.parametrize(
    ("options", "spec"),
    [
        (PurgeOptions, PurgeSpec),
        (BackfillOptions, BackfillSpec),
        (ArchiveOptions, ArchiveSpec),
        (RestoreOptions, RestoreSpec),
        (DrainOptions, DrainSpec),
        (RelayOptions, RelaySpec),
        (ReplayOptions, ReplaySpec),
    ],
)
def test_the_options_are_the_spec_s_fields(options: type, spec: type) -> None:
    fields = spec.model_fields  # type: ignore[attr-defined]
    assert set(get_type_hints(options)) == set(fields)
    assert options.__required_keys__ == {name for name, f in fields.items() if f.is_required()}  # type: ignore[attr-defined]


def test_what_it_offers_is_there() -> None:
    assert all(getattr(batchops, name) is not None for name in batchops.__all__)
    assert {"purge", "plan", "replay", "Finished"} <= set(dir(batchops)) == set(batchops.__all__)
    assert callable(batchops.archive)
    assert callable(batchops.restore)  # though rooms have these names too
    with pytest.raises(AttributeError):
        _ = batchops.prune  # type: ignore[attr-defined]


def test_one_of_several_needs_no_list() -> None:
    spec = checked(BackfillSpec, {"table": "t", "all_rows": True, "set": "a = 1", "allow": "triggers"})
    assert (spec.set, spec.allow) == (("a = 1",), ("triggers",))


def test_a_literal_has_the_choices_of_the_spec() -> None:
    for verb, options in zip(VERBS.values(), OPTIONS, strict=True):
        hints = get_type_hints(options)
        for name, field in verb.spec.model_fields.items():
            assert choices(hints[name]) == choices(field.annotation), (verb.name, name)


def choices(annotation: Any) -> set[str]:
    """The words of the Literals in it."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return {word for inner in get_args(annotation) for word in choices(inner)}


def test_an_unknown_option_is_named_with_the_one_that_was_meant() -> None:
    with pytest.raises(batchops.UsageError, match=r'unknown option "wher"; did you mean "where"\?'):
        batchops.purge(table="t", wher="a = 1")  # type: ignore[call-arg]  # the mistake
    with pytest.raises(batchops.UsageError, match=r'unknown option "xyzzy"$'):
        batchops.purge(table="t", xyzzy=1)  # type: ignore[call-arg]  # the mistake


def test_a_plan_changes_nothing_and_stays_readable(lite: Database) -> None:
    found = batchops.plan(batchops.purge, url=lite.url, table="ev", where="kind = 1")
    assert (found.verb.name, found.label, found.refusals) == ("purge", "ev", ())
    assert found.question == f"Delete 100 rows from ev on {Path(lite.url).name}?"
    assert "DELETE FROM" in dict(found.rows(whole=True))["first SQL"]
    assert found.document()["estimate"] == 100
    drained = batchops.plan(
        batchops.drain, url=lite.url, table="ev", where="kind = 1", delete=True, lease_in="none", handler=handle
    )
    assert "mark SQL" in dict(drained.rows(whole=True))
    assert lite.scalar("SELECT count(*) FROM ev") == 1000
    with pytest.raises(batchops.UsageError, match="plan\\(\\) takes a verb"):
        batchops.plan(lambda: batchops.Finished("", "", "done", 0, ""))


def handle(rows: Any, connection: Any) -> None:
    """A handler that is only planned."""


def test_an_engine_names_the_database(lite: Database) -> None:
    engine = sa.create_engine(lite.url)
    with pytest.raises(batchops.UsageError, match="Engine and url exclude each other"):
        batchops.purge(engine=engine, url=lite.url, table="ev", all_rows=True)
    assert batchops.purge(engine=engine, table="ev", where="kind = 1").rows == 100
    with pytest.raises(batchops.UsageError):
        batchops.purge(engine=sa.create_engine("sqlite://"), table="ev", all_rows=True)


@pytest.mark.full
def test_a_type_checker_knows_it(tmp_path: Path) -> None:
    file = tmp_path / "user.py"
    file.write_text(
        "from batchops import Finished, backfill, purge\n"
        "done: Finished = purge(table='t', where='a', sleep='1s')\n"
        "backfill(table='t', set=['a = 1'], all_rows=True)\n"
        "purge(tabel='t')\n"
        "backfill(table='t', max_rows='many', set='a = 1')\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", tmp_path / "cache"]
    where = {"PATH": "", "MYPYPATH": str(ROOT)}
    said = subprocess.run([*command, file], capture_output=True, text=True, cwd=tmp_path, env=where).stdout
    lines = {line.split(":")[1] for line in said.splitlines() if ": error: " in line}
    assert lines == {"4", "5"}, said
