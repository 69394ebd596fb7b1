"""Each check in its situation: refused and nothing changed, allowed and done right; and none on ordinary tables."""

import os
from pathlib import Path
from typing import Any

import pytest

import batchops as library
from batchops import verbs as registry
from batchops.bulk.plan.checks import CHECKS
from batchops.bulk.spec import CHECKS as NAMES
from batchops.bulk.spec import BackfillSpec, BulkSpec, PurgeSpec
from batchops.errors import Exit, RefusedError
from batchops.spec.models import checked
from tests.bulk.plan.situations import CASES, SITUATIONS, Situation, numbers, parent, view
from tests.command import Batchops, here
from tests.conftest import NewDatabase
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

VERBS = {"purge": library.purge, "backfill": library.backfill}
SEEN = {
    "postgresql": "pg_class",
    "mysql": "information_schema.tables WHERE table_schema = database()",
    "sqlite": "sqlite_master",
}


def job(situation: Situation, database: Database) -> dict[str, Any]:
    return {"url": database.url, "table": "t", "where": "kind = 1", "batch_size": 50} | dict(situation.options)


def states(database: Database, situation: Situation) -> list[Any]:
    return [database.scalar(query) for query in situation.left]


def test_every_check_has_a_name_that_can_be_allowed() -> None:
    assert tuple(check.name for check in CHECKS) == NAMES
    elsewhere = {"rls", "foreign-table", "list-size"}  # these need roles, servers, space, and have tests of their own
    assert {situation.check for situation in SITUATIONS.values()} | elsewhere == set(NAMES)


@pytest.mark.wide(4)
@pytest.mark.parametrize(("name", "family"), CASES)
def test_refused_and_allowed(new_database: NewDatabase, name: str, family: str) -> None:
    database, situation = new_database(family), SITUATIONS[name]
    situation.make(database)
    run, options, before = VERBS[situation.verb], job(situation, database), states(database, situation)
    try:
        with pytest.raises(RefusedError) as caught:
            run(**options, allow=situation.also)
        told = f"{caught.value.message} {caught.value.hint}"
        assert caught.value.exit == Exit.REFUSED
        assert situation.hint in told
        if situation.check != "view":
            assert f"--allow {situation.check}" in told
        assert states(database, situation) == before
        assert before != list(situation.left.values()), "the job must make a difference"

        finished = run(**options, allow=(situation.check, *situation.also))
        assert finished.reason == "done", finished
        assert states(database, situation) == list(situation.left.values())
    finally:
        if situation.check == "superuser":
            database.script(f"DROP OWNED BY owner_{database.name} CASCADE; DROP ROLE owner_{database.name}")


def test_cascades_are_counted_by_table(database: Database, tmp_path: Path) -> None:
    situation = SITUATIONS["children that go"]
    situation.make(database)
    with pytest.raises(RefusedError) as caught:
        library.purge(**job(situation, database))
    for counted in ('600 rows of "orders"', '600 rows of "positions"', '600 rows of "notes"'):
        assert counted in caught.value.message
    with pytest.raises(RefusedError, match="the archive would not have them"):
        library.archive(**job(situation, database), to=f"{tmp_path}/", format="jsonl")


def test_tables_of_which_no_row_would_change_are_no_reason(database: Database) -> None:
    situation = SITUATIONS["children that go"]
    situation.make(database)
    database.execute("DELETE FROM notes")
    with pytest.raises(RefusedError) as caught:
        library.purge(**job(situation, database))
    assert "orders" in caught.value.message
    assert "notes" not in caught.value.message
    for table in ("positions", "orders"):
        database.execute(f"DELETE FROM {table}")
    finished = library.purge(**job(situation, database))
    assert (finished.reason, finished.rows) == ("done", 300)


@pytest.mark.parametrize("family", ["postgresql", "sqlite"])
def test_a_view_that_cannot_be_allowed(new_database: NewDatabase, family: str) -> None:
    database = new_database(family)
    view(database)
    with pytest.raises(RefusedError, match="is a view"):
        library.purge(url=database.url, table="v", where="kind = 1", allow=("view", "no-key"), strategy="limit")


def jobs(table: str, column: str) -> list[tuple[str, BulkSpec]]:
    every = {"table": table, "all_rows": True}
    some = {"table": table, "where": f"{column} IS NULL"}
    wanted = [("purge", PurgeSpec, strategy) for strategy in ("auto", "key")] + [("backfill", BackfillSpec, "auto")]
    return [
        (
            verb,
            checked(
                model, rows | {"strategy": strategy} | ({"set": (f"{column} = NULL",)} if verb == "backfill" else {})
            ),
        )
        for verb, model, strategy in wanted
        for rows in (every, some)
    ]


@pytest.mark.full
def test_none_on_ordinary_tables(january: Database) -> None:
    """Real tables as they are loaded, with their keys and indexes."""
    tables = {"flights": "dep_time", "weather": "wind_gust", "planes": "speed", "airports": "tzone", "airlines": "name"}
    fired = [
        (table, verb, refusal)
        for table, column in tables.items()
        for verb, spec in jobs(table, column)
        for refusal in planned(january, verb, spec).refusals
    ]
    assert fired == []


def planned(database: Database, verb: str, spec: BulkSpec) -> Any:
    with registry.VERBS[verb].prepare(spec.model_copy(update={"url": database.url}), os.environ) as job:
        return job.plan


def test_check_is_a_command(batchops: Batchops, database: Database) -> None:
    SITUATIONS["a trigger"].make(database)
    asked = ("check", "t", "--where", "kind = 1", "--url", database.url)
    refused = batchops(*asked, "--json")
    assert refused.code == 12
    document = refused.json()
    assert [check["name"] for check in document["checks"]] == ["triggers"]
    assert document["checks"][0]["state"] == "refused"
    assert document["reason"] == "refused"
    allowed = batchops(*asked, "--allow", "triggers")
    assert allowed.code == 0
    assert "allowed  triggers" in allowed.out
    assert batchops(*asked, "--verb", "backfill", "--set", "n = 1").code == 0
    assert database.scalar("SELECT count(*) FROM t") == 600
    made = "batchops_run" in str(database.rows(f"SELECT * FROM {SEEN[database.backend]}"))
    assert not made, "a check writes nothing, not even a ledger"


def test_a_dry_run_says_what_refuses(batchops: Batchops, sqlite: Database) -> None:
    SITUATIONS["a trigger"].make(sqlite)
    asked = ("purge", "t", "--where", "kind = 1", "--url", sqlite.url, "--dry-run")
    shown = batchops(*asked)
    assert shown.code == 12
    assert "refused   triggers:" in shown.out
    document = batchops(*asked, "--json").json()
    assert (document["reason"], document["exit"], document["error"]["code"]) == ("dry-run", 12, "refused")
    assert document["plan"]["checks"][0]["name"] == "triggers"
    assert batchops(*asked, "--allow", "triggers").code == 0
    assert sqlite.scalar("SELECT count(*) FROM t") == 600


def test_an_unknown_name(batchops: Batchops, sqlite: Database) -> None:
    parent(sqlite)
    wrong = batchops("purge", "t", "--where", "kind = 1", "--url", sqlite.url, "-y", "--allow", "everything")
    assert wrong.code == 2
    assert "everything" in wrong.err
    assert "cascades" in wrong.err


@pytest.mark.parametrize("family", ["postgresql", "sqlite"])
def test_an_index_that_the_server_uses_is_enough(new_database: NewDatabase, family: str) -> None:
    """A partial one on the rows that refer at all, or one on the telling column of two."""
    database = new_database(family)
    database.script(
        "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, tenant integer NOT NULL, kind integer NOT NULL,"
        " UNIQUE (tenant, id));"
        "CREATE TABLE few (id integer NOT NULL PRIMARY KEY, t_id integer REFERENCES t (id));"
        "CREATE INDEX few_t ON few (t_id) WHERE t_id IS NOT NULL;"
        "CREATE TABLE pairs (id integer NOT NULL PRIMARY KEY, tenant integer, t_id integer,"
        " FOREIGN KEY (tenant, t_id) REFERENCES t (tenant, id));"
        "CREATE INDEX pairs_t ON pairs (t_id);"
    )
    database.execute(f"INSERT INTO t SELECT i, i % 3, i % 2 FROM {numbers(database, 5_000)}")
    database.execute(
        f"INSERT INTO few SELECT i, CASE WHEN i % 10 = 0 THEN i - i % 2 END FROM {numbers(database, 5_000)}"
    )
    database.execute(
        f"INSERT INTO pairs SELECT i, (i - i % 2) % 3, i - i % 2 FROM {numbers(database, 4_998)} WHERE i > 1"
    )
    database.execute("ANALYZE")
    finished = library.purge(url=database.url, table="t", where="kind = 1")
    assert (finished.reason, finished.rows) == ("done", 2_500)


def test_a_rule_that_does_nothing_instead(postgresql: Database) -> None:
    """The server shows no plan for such a statement."""
    parent(postgresql)
    postgresql.script("CREATE RULE stays AS ON DELETE TO t DO INSTEAD NOTHING")
    words = ("purge", "t", "--where", "id < 4", "--url", postgresql.url, "-y", "--json")
    refused, allowed = here(*words), here(*words, "--allow", "triggers")
    assert (refused.code, 'rule "stays" on "t"' in refused.json()["error"]["message"]) == (12, True), refused
    assert (allowed.code, allowed.json()["rejected"]) == (3, 3), allowed
