"""A dry run shows what would be done and changes nothing."""

from pathlib import Path

import pytest

from tests.cli.conftest import Cli, everything
from tests.outbox.boxes import event, left, made, relay, saved
from tests.queue.jobs import DRAIN, here, jobs, leased
from tests.services.database import Database

pytestmark = pytest.mark.in_turn


def test_it_changes_nothing_at_all(ev: Database, cli: Cli) -> None:
    before = everything(ev)
    for words in (("purge", "ev", "--where", "kind = 1"), ("backfill", "ev", "--all-rows", "--set", "kind = kind + 1")):
        for more in ((), ("-y",), ("-q",), ("--max-rows", "5"), ("--restart",), ("--count",)):
            result = cli(*words, "--dry-run", *more, env={"BATCHOPS_URL": ev.url})
            assert (result.code, result.own_err) == (0, ""), result
            assert result.out.startswith(f"{words[0]} ev\n")
    assert everything(ev) == before
    assert tables(ev) == {"ev", "other"}


def test_the_plan_is_the_result(ev: Database, cli: Cli) -> None:
    result = cli("purge", "ev", "--where", "kind = 1", "-n", env={"BATCHOPS_URL": ev.url})
    rows = dict(line.strip().split("  ", 1) for line in result.out.splitlines()[1:] if line.strip().count("  "))
    assert {"database", "rows", "strategy", "explain"} <= {name.strip() for name in rows}, result.out
    assert "first SQL DELETE FROM" in result.out
    assert all(len(line.split()) > 1 for line in result.out.splitlines())
    assert ev.backend == "sqlite" or "tell-no-one" not in result.out


def test_the_document_of_a_dry_run(ev: Database, cli: Cli) -> None:
    document = cli("purge", "ev", "--where", "kind = 1", "-n", "--json", env={"BATCHOPS_URL": ev.url}).json()
    assert (document["reason"], document["exit"], document["rows"]) == ("dry-run", 0, 0)
    plan = document["plan"]
    assert plan["condition"] == "kind = 1"
    assert plan["statement"].startswith("DELETE FROM")
    assert plan["explain"]
    assert plan["key"] == ["id"] or plan["strategy"] == "block"


def test_refused_by_a_check(mariadb: Database, cli: Cli) -> None:
    mariadb.execute("CREATE TABLE other (a int, b int)")
    mariadb.execute("INSERT INTO other VALUES (1, 1)")
    env = {"BATCHOPS_URL": mariadb.url}
    dry = cli("purge", "other", "--all-rows", "-n", env=env)
    assert dry.code == 12
    assert "no-key" in dry.out
    document = cli("purge", "other", "--all-rows", "-n", "--json", env=env).json()
    assert (document["exit"], document["error"]["code"]) == (12, "refused")
    real = cli("purge", "other", "--all-rows", "-y", env=env)
    assert (real.code, real.out) == (12, "")
    assert "--allow no-key" in real.err
    assert mariadb.scalar("SELECT count(*) FROM other") == 1
    assert tables(mariadb) == {"other"}


def tables(database: Database) -> set[str]:
    query = {
        "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
        "mysql": "SELECT table_name FROM information_schema.tables WHERE table_schema = database() "
        "AND table_type = 'BASE TABLE'",
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    }
    return set(database.column(query[database.backend]))


@pytest.mark.parametrize("place", ["columns", "table", "none"])
def test_a_drains_statements_are_shown_and_none_is_run(database: Database, place: str) -> None:
    jobs(database, 3)
    if place != "none":
        leased(database, place)
    before = database.rows("SELECT * FROM jobs ORDER BY id")
    args = ("drain", "jobs", "--url", database.url, *DRAIN, "--set", "n = n + 1", "--lease-in", place, "-n")
    said = here(*args)
    assert said.code == 0, said
    assert "claim SQL" in said.out
    assert "explain" in said.out
    assert "mark SQL  UPDATE" in said.out
    told = here(*args, "--json").json()["plan"]["statements"]
    assert {one["what"] for one in told} == {"claim", "mark"}
    assert any("jobs" in one["sql"] and one["explain"] for one in told if one["what"] == "claim")
    assert database.rows("SELECT * FROM jobs ORDER BY id") == before


@pytest.mark.parametrize(("then", "verb"), [("mark", "UPDATE"), ("delete", "DELETE"), ("move:gone", "INSERT")])
def test_a_relays_statements_are_shown_and_none_is_run(
    database: Database, then: str, verb: str, tmp_path: Path
) -> None:
    made(database)
    here("outbox", "init", "gone", "--apply", "--url", database.url)
    saved(database, [event("o", n) for n in range(3)])
    said = here(
        "relay", "outbox", "--url", database.url, "--to", f"file:{tmp_path / 'out'}", "--after-delivery", then, "-n"
    )
    assert said.code == 0, said
    assert "read SQL  SELECT" in said.out
    assert f"mark SQL  {verb}" in said.out
    assert "explain" in said.out
    assert (left(database), (tmp_path / "out").exists()) == (3, False)
    assert relay(database, f"file:{tmp_path / 'out'}").code == 0
    again = here(
        "outbox", "replay", "outbox", "--url", database.url, "--to", f"file:{tmp_path / 'new'}", "--all-events", "-n"
    )
    assert (again.code, "read SQL  SELECT" in again.out, "explain" in again.out) == (0, True, True), again


def test_an_empty_outbox_and_an_empty_queue_have_statements_too(sqlite: Database) -> None:
    made(sqlite)
    jobs(sqlite, 1)
    sqlite.execute("DELETE FROM jobs")
    leased(sqlite)
    assert "read SQL" in here("relay", "outbox", "--url", sqlite.url, "--to", "-", "-n").out
    assert "claim SQL" in here("drain", "jobs", "--url", sqlite.url, *DRAIN, "--set", "n = n + 1", "-n").out
