"""A dry run shows what would be done and changes nothing."""

from tests.cli.conftest import Cli, everything
from tests.services.database import Database


def test_it_changes_nothing_at_all(ev: Database, cli: Cli) -> None:
    before = everything(ev)
    for words in (("purge", "ev", "--where", "kind = 1"), ("backfill", "ev", "--all-rows", "--set", "kind = kind + 1")):
        for more in ((), ("-y",), ("-q",), ("--max-rows", "5"), ("--restart",), ("--count",)):
            result = cli(*words, "--dry-run", *more, env={"BATCHOPS_URL": ev.url})
            assert (result.code, result.err) == (0, ""), result
            assert result.out.startswith(f"{words[0]} ev\n")
    assert everything(ev) == before
    assert tables(ev) == {"ev", "other"}


def test_the_plan_is_the_result(ev: Database, cli: Cli) -> None:
    result = cli("purge", "ev", "--where", "kind = 1", "-n", env={"BATCHOPS_URL": ev.url})
    rows = dict(line.strip().split("  ", 1) for line in result.out.splitlines()[1:] if line.strip().count("  "))
    assert {"database", "rows", "walk", "explain"} <= {name.strip() for name in rows}, result.out
    assert "first SQL DELETE FROM" in result.out
    assert all(len(line.split()) > 1 for line in result.out.splitlines())
    assert ev.family == "sqlite" or "tell-no-one" not in result.out


def test_the_document_of_a_dry_run(ev: Database, cli: Cli) -> None:
    document = cli("purge", "ev", "--where", "kind = 1", "-n", "--json", env={"BATCHOPS_URL": ev.url}).json()
    assert (document["reason"], document["exit"], document["rows"]) == ("dry-run", 0, 0)
    plan = document["plan"]
    assert plan["predicate"] == "kind = 1"
    assert plan["statement"].startswith("DELETE FROM")
    assert plan["explain"]
    assert plan["key"] == ["id"] or plan["walk"] == "blocks"


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
    return set(database.column(query[database.family]))
