"""A database that another distribution brings: one file and an entry point, nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import batchops as library
from batchops.db import registry
from batchops.db.database import connect
from batchops.db.urls import address
from batchops.errors import UsageError
from tests.command import here
from tests.services.database import Database

VERSION = "CockroachDB CCL v24.1.3 (x86_64-pc-linux-gnu)"
LACKS = re.compile(
    r"\bctid\b|SET LOCAL row_security|LISTEN|advisory|pg_control_system|pg_relation_filenode|FORMAT JSON|pg_stat_xact"
)
"""What CockroachDB would refuse."""


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As pip leaves a distribution behind."""
    info = tmp_path / "batchops_cockroachdb-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: batchops-cockroachdb\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[batchops.backends]\ncockroachdb = tests.databases.cockroachdb:REGISTRATION\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry._others.cache_clear()
    yield
    registry._others.cache_clear()


@pytest.fixture
def presented(postgresql: Database) -> Database:
    """A PostgreSQL server that says it is a CockroachDB."""
    postgresql.script(
        f"""CREATE FUNCTION version() RETURNS text LANGUAGE sql AS $$SELECT '{VERSION}'$$;
        ALTER DATABASE {postgresql.name} SET search_path = public, pg_catalog;
        CREATE TABLE jobs (id int PRIMARY KEY, done bool NOT NULL DEFAULT false, kind int);
        INSERT INTO jobs SELECT n, false, n % 4 FROM generate_series(1, 4000) AS n"""
    )
    return postgresql


@pytest.fixture
def sent() -> Iterator[list[str]]:
    """Every statement that goes out."""
    statements: list[str] = []

    def hear(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", hear)
    yield statements
    sa.event.remove(sa.Engine, "before_cursor_execute", hear)


@pytest.mark.wide(1)
@pytest.mark.parametrize("scheme", ["cockroachdb", "postgresql"])
def test_every_verb_runs_on_it(scheme: str, presented: Database, sent: list[str]) -> None:
    """By its own scheme, and by what the server says where the scheme is the database's that it resembles."""
    url = re.sub(r"^\w+(?=://)", scheme, presented.url)
    every: dict[str, Any] = {"url": url, "table": "jobs", "batch_size": 500}
    assert library.purge(**every, where="kind = 0").exit == 0
    assert library.backfill(**every, where="kind = 1", set=["kind = 5"]).exit == 0
    seen: list[int] = []
    assert here("queue", "init", "jobs", "--url", url, "--lease-in", "table", "--apply").code == 0
    drained = library.drain(
        **every, where="kind = 5 AND NOT done", done=["done = true"], lease_in="table",
        handler=lambda rows: seen.extend(row["id"] for row in rows),
    )  # fmt: skip
    assert drained.exit == 0
    assert sorted(seen) == list(range(1, 4001, 4))
    assert presented.scalar("SELECT count(*) FROM jobs") == 3000
    assert presented.scalar("SELECT count(*) FROM jobs WHERE kind = 5") == 1000
    assert {found[0] for statement in sent if (found := LACKS.search(statement))} == set()


def test_the_plan_names_it_and_what_it_lacks_is_refused(presented: Database) -> None:
    url = presented.url.replace("postgresql://", "cockroachdb://")
    shown = here("purge", "jobs", "--url", url, "--where", "kind = 0", "-n")
    assert "CockroachDB v24.1.3" in shown.err + shown.out
    refused = here("purge", "jobs", "--url", url, "--where", "kind = 0", "--strategy", "block", "-n")
    assert refused.code == 12


def test_a_slip_in_its_scheme_is_told() -> None:
    with pytest.raises(UsageError) as caught:
        address("cockroach://host/name", {})
    assert "did you mean cockroachdb://?" in caught.value.hint


def test_one_that_cannot_be_loaded_is_named(
    postgresql: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    (entries,) = tmp_path.glob("*.dist-info/entry_points.txt")
    entries.write_text("[batchops.backends]\nbroken = tests.databases.no_such:REGISTRATION\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry._others.cache_clear()
    with pytest.raises(UsageError, match='backend "broken" of the package "batchops-cockroachdb"'):
        connect(address(postgresql.url, {}))


def test_nothing_of_ours_knows_it() -> None:
    sources = (Path(library.__file__).parent).rglob("*.py")
    assert [str(path) for path in sources if "cockroach" in path.read_text().lower()] == []
