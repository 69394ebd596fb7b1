"""What the server does not allow is refused before the first write, and said with the way out."""

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.cli.conftest import Cli, everything, filled
from tests.command import Batchops, here
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

Role = Callable[[str], dict[str, str]]
PURGE = ("purge", "ev", "--where", "kind = 1")


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Database:
    """The servers that know roles, with the three tables."""
    return filled(request.getfixturevalue(request.param))


@pytest.fixture
def role(server: Database) -> Iterator[Role]:
    """`role("SELECT, DELETE")`: the environment of a role that has these rights on ev and on nothing else."""
    name, mysql = f"r_{server.name}"[-32:], server.backend == "mysql"
    who = f"'{name}'@'%'" if mysql else f'"{name}"'

    def role(rights: str) -> dict[str, str]:
        server.execute(f"CREATE USER {who} IDENTIFIED BY 'x'" if mysql else f"CREATE ROLE {who} LOGIN PASSWORD 'x'")
        server.execute(f"GRANT {rights} ON ev TO {who}")
        if not mysql:
            server.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        url = make_url(server.url).set(username=name, password="x")
        return {"BATCHOPS_URL": url.render_as_string(hide_password=False)}

    yield role
    server.execute(f"DROP USER {who}" if mysql else f"DROP OWNED BY {who}")
    if not mysql:
        server.execute(f"DROP ROLE {who}")


def test_no_right_to_delete(server: Database, role: Role, cli: Cli) -> None:
    before, env = everything(server), role("SELECT")
    real = cli(*PURGE, "-y", env=env)
    assert (real.code, real.out) == (12, ""), real
    assert "DELETE" in real.err
    dry = cli(*PURGE, "-n", env=env)
    assert (dry.code, "Traceback" in dry.err) == (12, False), dry
    assert "first SQL DELETE FROM" in dry.out
    assert "explain" in dry.out
    assert "no right to DELETE" in dry.out
    assert everything(server) == before


def test_no_right_to_look(server: Database, role: Role, cli: Cli) -> None:
    result = cli(*PURGE, "-y", env=role("INSERT"))
    assert result.code in (10, 12), result
    assert "Traceback" not in result.err
    assert server.scalar("SELECT count(*) FROM ev") == 1000


def test_no_right_to_make_the_ledger(server: Database, role: Role, cli: Cli, tmp_path: Path) -> None:
    before, env = everything(server), role("SELECT, DELETE")
    refused = cli(*PURGE, "-y", env=env)
    assert (refused.code, refused.out) == (12, ""), refused
    assert "CREATE TABLE IF NOT EXISTS batchops_run" in refused.err
    assert "\\t" not in refused.err
    assert "--ledger none" in refused.err
    assert everything(server) == before
    without = cli(*PURGE, "-y", "--max-rows", 10, "--ledger", "none", "--json", env=env)
    assert without.json()["rows"] == 10, without
    with_file = cli(*PURGE, "-y", "--ledger", tmp_path / "progress.db", "--json", env=env)
    assert with_file.json()["rows"] == 90, with_file
    made = cli("ledger", "init", env=env)
    assert made.out.count("CREATE TABLE") == 13
    for statement in made.out.split(";\n")[:-1]:
        server.execute(statement)
        table = statement.split("(")[0].split()[-1]
        name = make_url(env["BATCHOPS_URL"]).username
        who = f"'{name}'@'%'" if server.backend == "mysql" else f'"{name}"'
        server.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {who}")
        if server.backend == "postgresql" and "run BIGSERIAL" in statement:
            server.execute(f"GRANT USAGE ON SEQUENCE batchops_run_run_seq TO {who}")
    inside = cli("purge", "ev", "--where", "kind = 2", "-y", "--json", env=env)
    assert (inside.code, inside.json()["rows"]) == (0, 100), inside


@pytest.mark.wide(1)
@pytest.mark.parametrize("there", [False, True], ids=["no ledger yet", "another's ledger"])
def test_a_role_without_the_ledgers_rights(server: Database, role: Role, cli: Cli, there: bool) -> None:
    """`check`, a dry run and a run refuse with the same GRANTs, before anything is written; these are enough."""
    if there:
        assert cli("purge", "ev", "--where", "kind = 7", "-yq", env={"BATCHOPS_URL": server.url}).code == 0
    before, env = everything(server), role("SELECT, DELETE")
    checked = cli("check", "ev", "--where", "kind = 1", "--json", env=env)
    assert checked.code == 12, checked
    (found,) = [one for one in checked.json()["checks"] if one["name"] == "ledger"]
    for more in ("-n", "-y"):
        refused = cli(*PURGE, more, env=env)
        assert (refused.code, "GRANT" in refused.out + refused.err) == (12, True), refused
    assert everything(server) == before
    for line in found["hint"].splitlines():
        if line.startswith("GRANT"):
            server.execute(line)
    assert cli("check", "ev", "--where", "kind = 1", env=env).code == 0
    done = cli(*PURGE, "-y", "--json", env=env)
    assert (done.code, done.json()["rows"]) == (0, 100), done


def test_a_role_that_may_not_read_a_ledger_of_an_older_version(server: Database, role: Role, cli: Cli) -> None:
    """Not all of today's tables are there, and it cannot know."""
    assert cli("purge", "ev", "--where", "kind = 7", "-yq", env={"BATCHOPS_URL": server.url}).code == 0
    server.execute("DROP TABLE batchops_spool")
    server.execute("UPDATE batchops_ledger SET version = version - 1")
    env = role("SELECT, DELETE")
    for words in (("check", *PURGE[1:]), (*PURGE, "-y")):
        refused = cli(*words, env=env)
        assert (refused.code, "GRANT" in refused.out + refused.err) == (12, True), refused


def test_a_schema_that_is_not_there(postgresql: Database, batchops: Batchops) -> None:
    filled(postgresql)
    words = ("ev", "--where", "kind = 1", "--ledger-schema", "cleaner", "--url", postgresql.url)
    refused = batchops("check", *words)
    assert (refused.code, "CREATE SCHEMA cleaner AUTHORIZATION" in refused.out) == (12, True), refused
    postgresql.execute("CREATE SCHEMA cleaner")
    assert batchops("check", *words).code == 0


def test_a_read_only_postgresql(postgresql: Database, cli: Cli) -> None:
    filled(postgresql)
    before = everything(postgresql)
    env = {"BATCHOPS_URL": postgresql.url, "PGOPTIONS": "-c default_transaction_read_only=on"}
    real = cli(*PURGE, "-y", env=env)
    assert (real.code, real.out) == (12, ""), real
    assert "read-only" in real.err
    assert everything(postgresql) == before


def test_a_read_only_file(sqlite: Database, batchops: Batchops, tmp_path: Path) -> None:
    """Root may write to any file: for root the URL asks for a read-only one."""
    filled(sqlite)
    file = Path(make_url(sqlite.url).database or "")
    link = tmp_path / "copy.db"
    link.write_bytes(file.read_bytes())
    url = f"sqlite:///{link}"
    if os.geteuid() == 0:
        url = f"sqlite:///file:{link}?mode=ro&uri=true"
    link.chmod(0o444)
    real = batchops(*PURGE, "-y", "--json", "--retry-timeout", "0s", "--url", url)
    assert real.code == 12, real
    assert "Traceback" not in real.err
    assert link.read_bytes() == file.read_bytes()


@contextmanager
def nobody() -> Iterator[None]:
    """A user who has no rights but everyone's; root's bind nowhere."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


UNWRITABLE = {
    "file": (0o755, 0o444, "may not write the file"),
    "folder": (0o555, 0o666, "where SQLite keeps the journal"),
}
VERBS = {
    "purge": PURGE,
    "backfill": ("backfill", "ev", "--where", "kind = 1", "--set", "note = 'x'"),
    "drain": ("drain", "ev", "--where", "kind = 1", "--set", "note = 'x'", "--done", "kind = 100"),
    "relay": ("relay", "box", "--to", "-"),
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that everybody may enter; pytest's own are for the owner alone."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
        Path(name).chmod(0o755)


@pytest.mark.parametrize("what", UNWRITABLE)
@pytest.mark.parametrize("wal", [False, pytest.param(True, marks=pytest.mark.full)], ids=["journal", "wal"])
def test_a_sqlite_file_or_folder_that_this_user_may_not_write(
    sqlite: Database, folder: Path, what: str, wal: bool
) -> None:  # fmt: skip
    """Found by `check`, by a plan and by a run, before anything is written; the file stays as it was."""
    filled(sqlite)
    sqlite.execute("CREATE TABLE box (id integer PRIMARY KEY, aggregate_id int, payload text, sent_at text)")
    file = folder / "copy.db"
    file.write_bytes(Path(make_url(sqlite.url).database or "").read_bytes())
    if wal:
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    before, (of_folder, of_file, says) = file.read_bytes(), UNWRITABLE[what]
    url = ("--url", f"sqlite:///{file}")
    plans = [("check", *PURGE[1:]), *((*words, "-n") for words in VERBS.values())]
    for words in plans:  # which also imports what nobody may not read
        allowed = here(*words, *url)
        assert allowed.code == 0, (words, allowed)
    file.chmod(of_file)
    folder.chmod(of_folder)
    commands = [*plans, (*PURGE, "-y"), VERBS["relay"]]
    for words in commands:
        with nobody():
            refused = here(*words, *url)
        assert (refused.code, says in refused.out + refused.err) == (12, True), (words, refused)
    assert [one.name for one in folder.iterdir()] == ["copy.db"]
    assert file.read_bytes() == before


@pytest.mark.parametrize("asked", ["mode=ro", "immutable=1"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_sqlite_url_for_reading_only(lite: Database, batchops: Batchops, asked: str, verb: str) -> None:
    lite.execute("CREATE TABLE box (id integer PRIMARY KEY, aggregate_id int, payload text, sent_at text)")
    refused = batchops(*VERBS[verb], "-n", "--url", f"{lite.url}?{asked}")
    assert (refused.code, f"leave {asked} out of the URL" in refused.out + refused.err) == (12, True), refused


def test_a_role_without_the_rights_to_a_relays_own_tables(server: Database, role: Role, cli: Cli) -> None:
    """A dry run and a run refuse with the same GRANTs, before anything is written; these are enough."""
    server.execute(
        "CREATE TABLE box (id int PRIMARY KEY, aggregate_id int, payload varchar(9), sent_at timestamp NULL)"
    )
    env = role("SELECT")
    name = make_url(env["BATCHOPS_URL"]).username
    who = f"'{name}'@'%'" if server.backend == "mysql" else f'"{name}"'
    server.execute(f"GRANT SELECT, UPDATE, DELETE ON box TO {who}")
    server.execute("INSERT INTO box VALUES (1, 1, 'x', NULL)")
    for more in (("-n",), ()):
        refused = cli("relay", "box", "--to", "-", *more, env=env)
        assert (refused.code, "GRANT" in refused.err) == (12, True), refused
    assert server.scalar("SELECT count(*) FROM box WHERE sent_at IS NULL") == 1
    for line in refused.err.splitlines():
        if (statement := line.strip().removeprefix("hint: grant it: ")).startswith("GRANT"):
            server.execute(statement)
    sent = cli("relay", "box", "--to", "-", env=env)
    assert (sent.code, server.scalar("SELECT count(*) FROM box WHERE sent_at IS NULL")) == (0, 0), sent


def test_a_relay_by_a_role_without_the_ledger_goes_on_and_cannot_be_controlled(
    server: Database, role: Role, cli: Cli
) -> None:  # fmt: skip
    server.execute(
        "CREATE TABLE box (id int PRIMARY KEY, aggregate_id int, payload varchar(9), sent_at timestamp NULL)"
    )
    assert cli("relay", "box", "--to", "-", env={"BATCHOPS_URL": server.url}).code == 0  # makes all the tables
    env = role("SELECT")
    name = make_url(env["BATCHOPS_URL"]).username
    who = f"'{name}'@'%'" if server.backend == "mysql" else f'"{name}"'
    for table in ("box", "batchops_relay", "batchops_shard", "batchops_failed"):
        server.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {who}")
    server.execute("INSERT INTO box VALUES (1, 1, 'x', NULL)")
    sent = cli("relay", "box", "--to", "-", env=env)
    assert (sent.code, server.scalar("SELECT count(*) FROM box WHERE sent_at IS NULL")) == (0, 0), sent
    assert "Nobody can see this run in the ledger, pause it or stop it there" in sent.err
    for words in (("pause", "box"), ("stop", "box"), ("set", "box", "--sleep", "1s")):
        refused = cli(*words, env=env)
        # MariaDB does not tell that a table is there to an account without any right to it.
        assert (refused.code in (2, 12), "ledger" in refused.err, "Traceback" in refused.err) == (True, True, False)


def test_who_may_only_look_cannot_pause_and_few_rights_are_enough(server: Database, role: Role, cli: Cli) -> None:
    owner = {"BATCHOPS_URL": server.url}
    assert cli(*PURGE, "-yq", env=owner).code == 0
    env = role("SELECT")
    name = make_url(env["BATCHOPS_URL"]).username
    who = f"'{name}'@'%'" if server.backend == "mysql" else f'"{name}"'
    for table in ("ledger", "run", "worker", "lease", "rejected", "request", "sample"):
        server.execute(f"GRANT SELECT ON batchops_{table} TO {who}")
    assert cli("runs", env=env).code == 0
    refused = cli("pause", "--job", 1, env=env)
    assert (refused.code, "batchops_request" in refused.err) == (12, True), refused
    server.execute(f"GRANT INSERT ON batchops_request TO {who}")
    if server.backend == "postgresql":
        server.execute(f"GRANT USAGE ON SEQUENCE batchops_request_number_seq TO {who}")
    assert cli("pause", "--job", 1, env=env).code == 0
    assert "paused" in cli("show", 1, env=owner).out


def test_a_drain_that_may_not_remove_old_runs_is_recorded_all_the_same(server: Database, role: Role, cli: Cli) -> None:
    words = ("drain", "ev", "--where", "kind = 1", "--done", "kind = 0", "--set", "note = 'x'", "--max-rows", 9)
    assert cli(*words, "--json", env={"BATCHOPS_URL": server.url}).json()["run"] == 1
    server.execute("UPDATE batchops_run SET ended_at = ended_at - 8 * 86400")
    env = role("SELECT, UPDATE")
    name = make_url(env["BATCHOPS_URL"]).username
    who = f"'{name}'@'%'" if server.backend == "mysql" else f'"{name}"'
    for table in ("ledger", "run", "worker", "lease", "request", "sample", "plan", "event"):
        may = "SELECT, INSERT, UPDATE" + ("" if table in ("run", "worker") else ", DELETE")
        server.execute(f"GRANT {may} ON batchops_{table} TO {who}")
    if server.backend == "postgresql":
        server.execute(f"GRANT USAGE ON SEQUENCE batchops_run_run_seq TO {who}")
    done = cli(*words, "--json", env=env)
    assert (done.code, done.json()["run"], "warning" in done.err) == (0, 2, False), done
    assert server.column("SELECT state FROM batchops_run ORDER BY run") == ["max-rows", "max-rows"]


def test_a_drain_without_a_right_to_the_ledger_warns_once_and_goes_on(server: Database, role: Role, cli: Cli) -> None:
    words = ("drain", "ev", "--where", "kind = 1", "--done", "kind = 0", "--set", "note = 'x'", "--batch-size", 7)
    env = role("SELECT, UPDATE")
    done = cli(*words, "--json", env=env)
    assert (done.code, done.json()["rows"], done.json()["run"]) == (0, 100, None), done
    assert done.err.count("Nobody can see this run in the ledger, pause it or stop it there: ") == 1, done
    server.execute("UPDATE ev SET kind = 1 WHERE note = 'x'")
    quiet = cli(*words, "--ledger", "none", env=env)
    assert (quiet.code, "ledger" in quiet.err) == (0, False), quiet


@pytest.mark.usefixtures("server")
def test_a_role_that_may_keep_no_fires(role: Role, cli: Cli, tmp_path: Path) -> None:
    """A scheduler that could never run anything ends at once, with the GRANTs."""
    recipe = tmp_path / "nightly.toml"
    recipe.write_text('[job.old]\nverb = "purge"\ntable = "ev"\nwhere = "kind = 1"\nevery = "1h"\n')
    refused = cli("schedule", recipe, env=role("SELECT, DELETE"))
    assert (refused.code, "GRANT" in refused.err) == (12, True), refused


@pytest.mark.wide(2)
@pytest.mark.parametrize("strategy", ["key", "block", "limit"])
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_delete_without_update_is_enough(server: Database, role: Role, cli: Cli, strategy: str) -> None:
    """Row locks ask for UPDATE: without it rows are listed only, and the condition in the DELETE does the rest."""
    job = (*PURGE, "-y", "--ledger", "none", "--strategy", strategy, "--allow", "no-key", "--json")
    env = role("SELECT, DELETE")
    assert cli(*job, "--max-rows", 10, "--batch-size", 3, env=env).json()["rows"] == 10
    if strategy == "limit":  # it has no cursor to pass a vetoed row by with
        assert cli(*job, env=env).json()["rows"] == 90
        return
    server.execute("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
    server.execute("CREATE TRIGGER veto BEFORE DELETE ON ev FOR EACH ROW WHEN (OLD.id % 100 = 1) EXECUTE FUNCTION no()")
    kept = server.scalar("SELECT count(*) FROM ev WHERE kind = 1 AND id % 100 = 1")
    vetoed = cli(*job, "--allow", "triggers", env=env)
    assert (vetoed.code, vetoed.json()["rows"], vetoed.json()["rejected"]) == (3, 90 - kept, kept), vetoed
    assert server.scalar("SELECT count(*) FROM ev WHERE kind = 1") == kept
