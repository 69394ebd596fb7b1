"""What a role may see and do: rows that a policy hides, a role that may only read, tables on another server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

import batchops as library
from batchops.errors import RefusedError
from tests.bulk.plan.situations import ROWS, parent
from tests.command import Batchops, here
from tests.conftest import NewDatabase
from tests.services.database import Database

pytestmark = pytest.mark.in_turn


@contextmanager
def role(database: Database, rights: str) -> Iterator[str]:
    """A login with these rights on `t`, and its URL."""
    name = f"role_{database.name}"[-30:]
    if database.backend == "postgresql":
        made, dropped = f"CREATE ROLE {name} LOGIN PASSWORD 'right'", f"DROP OWNED BY {name}; DROP ROLE {name}"
    else:
        made, dropped = f"CREATE USER {name} IDENTIFIED BY 'right'", f"DROP USER {name}"
    database.script(made)
    try:
        database.script(f"GRANT {rights} ON t TO {name}")
        url = sa.make_url(database.url).set(username=name, password="right")
        yield url.render_as_string(hide_password=False)
    finally:
        database.script(dropped)


@pytest.mark.parametrize("verb", ["purge", "archive"])
@pytest.mark.parametrize("children", [True, False])
def test_foreign_keys_that_a_role_does_not_see(
    new_database: NewDatabase, tmp_path: Path, verb: str, children: bool
) -> None:
    """MariaDB lists those of tables alone to which it has a right; their rows go all the same."""
    database = new_database("mariadb")
    database.script("CREATE TABLE t (id integer NOT NULL PRIMARY KEY)")
    database.script("CREATE TABLE `se-crét` (t_id integer, FOREIGN KEY (t_id) REFERENCES t (id) ON DELETE CASCADE)")
    words = [verb, "t", "--all-rows", "-n", *(["--with-children"] if children else [])]
    words += ["--to", f"{tmp_path}/"] if verb == "archive" else []
    with role(database, "SELECT, DELETE, UPDATE") as url:
        blind = here(*words, "--url", url)
        assert "may not read all tables of the database" in blind.out
        assert ("without archiving them" in blind.out) == (verb == "archive")
        user = sa.make_url(url).username
        database.script(f"GRANT PROCESS ON *.* TO {user}")
        told = here(*words, "--url", url)
        assert (told.code, "may not read all tables" in told.out) == (12, False), told
        assert 'rows of "se-crét", which this role may not see' in " ".join(told.out.split())
        database.script("DROP TABLE `se-crét`")
        assert "which this role may not see" not in here(*words, "--url", url).out
        database.script(f"REVOKE PROCESS ON *.* FROM {user}; GRANT SELECT ON {database.name}.* TO {user}")
        assert "may not read all tables" not in here(*words, "--url", url).out


@pytest.fixture
def hidden(postgresql: Database) -> Iterator[tuple[Database, str]]:
    """A table a third of whose rows a policy hides, and one of the others may not be deleted."""
    parent(postgresql)
    postgresql.script(
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON t USING (id % 3 > 0);"
        "CREATE POLICY kept ON t AS RESTRICTIVE FOR DELETE USING (id <> 1)"
    )
    with role(postgresql, "SELECT, DELETE, UPDATE") as url:
        yield postgresql, url


def test_hidden_rows(batchops: Batchops, hidden: tuple[Database, str]) -> None:
    database, url = hidden
    job = {"url": url, "table": "t", "where": "kind = 1", "ledger": "none"}
    with pytest.raises(RefusedError, match="Row-level security") as caught:
        library.purge(**job)
    assert "--allow rls" in caught.value.hint
    assert database.scalar("SELECT count(*) FROM t") == ROWS
    shown = batchops("purge", "t", "--where", "kind = 1", "--url", url, "--ledger", "none", "--dry-run")
    assert shown.code == 12
    assert "refused   rls:" in shown.out

    finished = library.purge(**job, allow=("rls",))
    assert (finished.reason, finished.exit, finished.rejected) == ("incomplete", 3, 1), finished
    assert database.column("SELECT id FROM t WHERE kind = 1 AND id % 3 > 0") == [1]
    assert database.scalar("SELECT count(*) FROM t WHERE id % 3 = 0") == ROWS // 3


def test_the_owner_sees_all(postgresql: Database) -> None:
    """A policy that does not hold for this role is no reason to refuse."""
    parent(postgresql)
    postgresql.script("ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON t USING (id % 3 > 0)")
    assert library.purge(url=postgresql.url, table="t", where="kind = 1").rows == ROWS // 2


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
@pytest.mark.parametrize("verb", ["purge", "backfill"])
def test_a_dry_run_with_select_alone(batchops: Batchops, new_database: NewDatabase, kind: str, verb: str) -> None:
    database = new_database(kind)
    parent(database)
    event = {"purge": "DELETE", "backfill": "UPDATE"}[verb]
    job = (verb, "t", "--where", "kind = 1", *(("--set", "n = n + 1") if verb == "backfill" else ()))
    with role(database, "SELECT") as url:
        shown = batchops(*job, "--url", url, "--dry-run", "--json")
        assert shown.code == 12, shown
        assert "plan" in shown.json(), shown
        plan = shown.json()["plan"]
        assert [check["name"] for check in plan["checks"]] == ["right"]
        assert event in plan["checks"][0]["message"]
        assert plan["statement"].startswith(event)
        assert "of a SELECT" in plan["explain"][0]
        assert batchops(*job, "--url", url, "-y").code == 12
    assert database.scalar("SELECT count(*) FROM t WHERE n = 0") == ROWS


def foreign(database: Database) -> None:
    """`t` as a foreign table `f` of the very same server, which postgres_fdw reaches like any other."""
    url = sa.make_url(database.url)
    host, port = url.host or url.query["host"], url.port or url.query.get("port", "5432")
    database.script(
        "CREATE EXTENSION postgres_fdw;"
        f"CREATE SERVER there FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{host}', port '{port}', "
        f"dbname '{database.name}');"
        f"CREATE USER MAPPING FOR CURRENT_USER SERVER there OPTIONS (user '{url.username}', "
        f"password '{url.password or 'none'}');"
        "CREATE FOREIGN TABLE f (id integer, kind integer, n integer) SERVER there OPTIONS (table_name 't')"
    )


def test_a_foreign_table(postgresql: Database) -> None:
    if not postgresql.scalar("SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'"):
        pytest.skip("this server has no postgres_fdw")
    parent(postgresql)
    foreign(postgresql)
    job = {"url": postgresql.url, "table": "f", "where": "kind = 1", "strategy": "limit", "batch_size": 50}
    with pytest.raises(RefusedError, match="is a foreign table") as caught:
        library.purge(**job)
    assert "--allow foreign-table" in caught.value.hint
    assert postgresql.scalar("SELECT count(*) FROM t") == ROWS
    finished = library.purge(**job, allow=("foreign-table",))
    assert (finished.reason, finished.rows) == ("done", ROWS // 2), finished
    assert postgresql.scalar("SELECT count(*) FROM t WHERE kind = 1") == 0
