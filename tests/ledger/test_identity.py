"""A job is the same wherever its data goes, and another where the table is another; nothing is done twice.

Each test moves the data, or takes the table away, as people do, between a run and the same command again.
"""

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from batchops.errors import RefusedError
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.databases.numbered import Job, numbered
from tests.services import sqlite as sqlite_service
from tests.services.database import FAMILIES, Database
from tests.services.private import Private, free_port

pytestmark = pytest.mark.in_turn

ROWS = 100
COUNT_UP = {"all_rows": True, "set": ["m = m + 1"]}
"""Must not be applied twice."""
MARK = {"all_rows": True, "set": ["m = 1"]}
FILL = {
    "postgresql": "INSERT INTO {} SELECT i, 0 FROM generate_series(1, 100) AS s(i)",
    "mysql": "INSERT INTO {} SELECT seq, 0 FROM seq_1_to_100",
    "sqlite": "INSERT INTO {} SELECT i, 0 FROM (WITH RECURSIVE c(i) AS "
    "(SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 100) SELECT i FROM c)",
}


@pytest.fixture
def table(database: Database) -> Database:
    numbered(database, ROWS, m=("integer", "0"))
    return database


def half(database: Database, **asked: object) -> Job:
    """A job that has done a part of its work."""
    job = Job(database, "backfill", **asked)
    assert job(max_rows=40, batch_size=10).reason == "max-rows"
    return job


def goes_on(database: Database) -> None:
    """What was half done is finished, each row once; what is finished stays so."""
    job = Job(database, "backfill", **COUNT_UP)
    assert job().reason == "done"
    assert job().reason == "already-done"
    assert database.column("SELECT DISTINCT m FROM t") == [1]


def anew(database: Database, name: str = "t") -> None:
    """A table like the first one, with as many rows."""
    database.script(f"CREATE TABLE {name} (id integer PRIMARY KEY, m integer)")
    database.execute(FILL[database.backend].format(name))


@pytest.fixture(params=["postgresql", "mariadb"])
def private(request: pytest.FixtureRequest) -> Private:
    server: Private = request.getfixturevalue(f"private_{request.param}")
    return server


@pytest.fixture
def elsewhere(private: Private) -> Iterator[Callable[[], None]]:
    """Starts the private server again on another port."""
    before = (private.argv, private.url)
    stop = signal.SIGINT if private.name == "postgresql" else signal.SIGTERM

    def move() -> None:
        port, old = free_port(), str(make_url(private.url).port)
        private.stop(stop)
        private.argv = [str(word).replace(old, str(port)) for word in private.argv]
        private.url = private.url.replace(old, str(port))
        private.start()

    yield move
    private.stop(stop)
    private.argv, private.url = before
    private.start()


def test_a_server_that_was_restarted_on_another_port(
    private: Private, new_database: NewDatabase, elsewhere: Callable[[], None]
) -> None:
    database = new_database(private.name, at=private.server)
    numbered(database, ROWS, m=("integer", "0"))
    half(database, **COUNT_UP)
    elsewhere()
    goes_on(Database(FAMILIES[private.name], private.server, database.name))


def test_a_file_that_was_moved(sqlite: Database, tmp_path: Path) -> None:
    numbered(sqlite, ROWS, m=("integer", "0"))
    half(sqlite, **COUNT_UP)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shutil.move(sqlite_service.path(sqlite.url), folder / "moved.db")
    at = sqlite.server.__class__(sqlite.server.name, "", f"sqlite:///{folder}", "a file", lambda: None)
    goes_on(Database(FAMILIES["sqlite"], at, "moved"))


def test_a_database_that_was_renamed(postgresql: Database, new_database: NewDatabase) -> None:
    numbered(postgresql, ROWS, m=("integer", "0"))
    half(postgresql, **COUNT_UP)
    other = new_database("postgresql")
    other.server, name = postgresql.server, f"{other.name}_x"
    admin = Database(FAMILIES["postgresql"], postgresql.server, "postgres")
    admin.execute(f'ALTER DATABASE "{other.name}" RENAME TO "{name}"')
    admin.execute(f'ALTER DATABASE "{postgresql.name}" RENAME TO "{other.name}"')
    admin.execute(f'ALTER DATABASE "{name}" RENAME TO "{postgresql.name}"')
    goes_on(other)


def test_a_database_that_was_copied_by_its_server(postgresql: Database) -> None:
    """CREATE DATABASE … TEMPLATE: the copy has done what the original had."""
    numbered(postgresql, ROWS, m=("integer", "0"))
    half(postgresql, **COUNT_UP)
    kind, name = FAMILIES["postgresql"], f"{postgresql.name}_copy"[-60:]
    kind.create(postgresql.server, name, postgresql.name)
    try:
        goes_on(Database(kind, postgresql.server, name))
        goes_on(postgresql)
    finally:
        kind.drop(postgresql.server, name)


@pytest.mark.skipif(shutil.which("pg_dump") is None, reason="needs pg_dump")
def test_a_postgresql_dump_that_was_restored(postgresql: Database, new_database: NewDatabase) -> None:
    """Its tables have other OIDs: whether the rows are those of before, a person says."""
    numbered(postgresql, ROWS, m=("integer", "0"))
    half(postgresql, **COUNT_UP)
    restored = new_database("postgresql")
    restored.execute("CREATE TABLE before_it (id int)")  # so that no OID is by chance the same
    dump = subprocess.run(["pg_dump", "-d", postgresql.url], capture_output=True, text=True)
    if "server version mismatch" in dump.stderr:
        pytest.skip(f"pg_dump is older than the server: {dump.stderr}")
    assert dump.returncode == 0, dump.stderr
    into = ["psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", restored.url]
    subprocess.run(into, input=dump.stdout, text=True, check=True, capture_output=True)
    _goes_on_if_told_to(restored)


@pytest.mark.skipif(shutil.which("mariadb-dump") is None, reason="needs mariadb-dump")
def test_a_mariadb_dump_that_was_restored(mariadb: Database, new_database: NewDatabase) -> None:
    numbered(mariadb, ROWS, m=("integer", "0"))
    half(mariadb, **COUNT_UP)
    restored, url = new_database("mariadb"), make_url(mariadb.url)
    login = [f"-h{url.host}", f"-P{url.port}", f"-u{url.username}", f"-p{url.password}", "--protocol=tcp"]
    dump = subprocess.run(["mariadb-dump", *login, mariadb.name], capture_output=True, text=True, check=True)
    subprocess.run(["mariadb", *login, restored.name], input=dump.stdout, text=True, check=True, capture_output=True)
    _goes_on_if_told_to(restored)


def _goes_on_if_told_to(restored: Database) -> None:
    job = Job(restored, "backfill", **COUNT_UP)
    with pytest.raises(RefusedError, match="not the one that run 1 worked on"):
        job()
    assert job(same_table=True).reason == "done"
    assert job().reason == "already-done"
    assert restored.column("SELECT DISTINCT m FROM t") == [1]


@pytest.mark.wide(1)
@pytest.mark.parametrize("finished", [True, False], ids=["done", "half done"])
@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_a_table_that_was_dropped_and_made_anew(new_database: NewDatabase, name: str, finished: bool) -> None:
    database = new_database(name)
    numbered(database, ROWS, m=("integer", "0"))
    job = Job(database, "backfill", **COUNT_UP)
    job(**({} if finished else {"max_rows": 40, "batch_size": 10}))
    database.execute("DROP TABLE t")
    anew(database)
    with pytest.raises(RefusedError) as refused:
        job()
    assert all(way in refused.value.hint for way in ("--same-table", "--restart"))
    assert database.column("SELECT DISTINCT m FROM t") == [0]
    assert job(restart=True).rows == ROWS
    assert job().reason == "already-done"
    assert database.column("SELECT DISTINCT m FROM t") == [1]


@pytest.mark.parametrize("name", ["sqlite", "mariadb"])
def test_where_nothing_can_tell_it_says_when_and_what_then(
    new_database: NewDatabase, batchops: Batchops, name: str
) -> None:
    """SQLite keeps no identity of a table; InnoDB shows its table ids to the right PROCESS alone."""
    database = new_database(name)
    numbered(database, ROWS, m=("integer", "0"))
    with _without_process(database) as url:
        words = ("backfill", "t", "--all-rows", "--set", "m = m + 1", "-y", "--url", url)
        assert batchops(*words).code == 0
        database.execute("DROP TABLE t")
        anew(database)
        again = batchops(*words)
        assert again.code == 0, again
        assert again.out.startswith("backfill t: already done by run 1 at 20"), again
        assert "--restart" in again.out
        assert batchops(*words, "--restart", "--json").json()["rows"] == ROWS


@contextmanager
def _without_process(database: Database) -> Iterator[str]:
    """The URL of a role without the right PROCESS; of a file, as it is."""
    if database.backend == "sqlite":
        yield database.url
        return
    role = f"p_{database.name}"[-32:]
    database.execute(f"CREATE USER '{role}'@'%' IDENTIFIED BY 'x'")
    try:
        database.execute(f"GRANT ALL ON `{database.name}`.* TO '{role}'@'%'")
        yield make_url(database.url).set(username=role, password="x").render_as_string(hide_password=False)
    finally:
        database.execute(f"DROP USER '{role}'@'%'")


REWRITES = {
    "postgresql": ["VACUUM t", "VACUUM FULL t", "CLUSTER t USING t_pkey", "ALTER TABLE t ADD COLUMN x int DEFAULT 7"],
    "mariadb": [
        "ANALYZE TABLE t",
        "ALTER TABLE t ADD COLUMN x int DEFAULT 7, ALGORITHM=INSTANT",
        "ALTER TABLE t ADD INDEX (m)",
    ],
    "sqlite": ["VACUUM", "ANALYZE", "ALTER TABLE t ADD COLUMN x int DEFAULT 7"],
}


@pytest.mark.wide(2)
@pytest.mark.parametrize(("name", "upkeep"), [(name, sql) for name, some in REWRITES.items() for sql in some])
def test_upkeep_makes_no_other_table_of_it(new_database: NewDatabase, name: str, upkeep: str) -> None:
    database = new_database(name)
    numbered(database, ROWS, m=("integer", "0"))
    half(database, **COUNT_UP)
    database.execute(upkeep)
    goes_on(database)
    database.execute(upkeep.replace("COLUMN x", "COLUMN y").replace("INDEX (m)", "INDEX (m, id)"))
    assert Job(database, "backfill", **COUNT_UP)().reason == "already-done"


@pytest.mark.full
def test_optimize_gives_innodb_another_table_id(mariadb: Database) -> None:
    """Nobody can tell it from a table made anew: whoever has run it says --same-table, once."""
    numbered(mariadb, ROWS, m=("integer", "0"))
    job = half(mariadb, **COUNT_UP)
    mariadb.rows("OPTIMIZE TABLE t")
    with pytest.raises(RefusedError, match="rebuilt"):
        job()
    assert job(same_table=True).reason == "done"
    mariadb.rows("OPTIMIZE TABLE t")
    assert job(same_table=True).reason == "already-done"
    assert job().reason == "already-done"
    assert mariadb.column("SELECT DISTINCT m FROM t") == [1]


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_a_table_that_was_emptied_and_filled_again(new_database: NewDatabase, batchops: Batchops, name: str) -> None:
    """PostgreSQL knows the same table with another file: a warning. InnoDB takes it for another table."""
    database = new_database(name)
    numbered(database, ROWS, m=("integer", "0"))
    Job(database, "backfill", **COUNT_UP)()
    database.execute("TRUNCATE TABLE t")
    database.execute(FILL[database.backend].format("t"))
    words = ("backfill", "t", "--all-rows", "--set", "m = m + 1", "-y", "--url", database.url)
    again = batchops(*words)
    assert again.code == (0 if name == "postgresql" else 12), again
    assert "--restart" in again.err, again
    assert database.column("SELECT DISTINCT m FROM t") == [0]
    assert batchops(*words, "--restart", "--json").json()["rows"] == ROWS


@pytest.mark.parametrize("name", list(FAMILIES))
def test_a_table_that_was_swapped_by_renames(new_database: NewDatabase, name: str) -> None:
    """As gh-ost and pt-online-schema-change leave it: a copy under the name, the original under another."""
    database = new_database(name)
    numbered(database, ROWS, m=("integer", "0"))
    half(database, **COUNT_UP)
    database.script("CREATE TABLE _t_new (id integer PRIMARY KEY, m integer)")
    database.execute("INSERT INTO _t_new SELECT * FROM t")
    database.execute("ALTER TABLE t RENAME TO _t_old")
    database.execute("ALTER TABLE _t_new RENAME TO t")
    job = Job(database, "backfill", **COUNT_UP)
    if name != "sqlite":  # where nothing can tell, it goes on
        with pytest.raises(RefusedError):
            job()
        old = Job(database, "backfill", **COUNT_UP | {"table": "_t_old"})
        with pytest.raises(RefusedError, match='knew as "t"'):
            old()
    finished = job(same_table=True)
    assert (finished.reason, finished.run, finished.rows) == ("done", 1, ROWS)
    assert database.column("SELECT DISTINCT m FROM t") == [1]


@pytest.mark.wide(1)
@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
@pytest.mark.parametrize("finished", [True, False], ids=["done", "half done"])
def test_a_table_that_was_renamed(new_database: NewDatabase, name: str, finished: bool) -> None:
    database = new_database(name)
    numbered(database, ROWS, m=("integer", "0"))
    first = Job(database, "backfill", **COUNT_UP)
    first(**({} if finished else {"max_rows": 40, "batch_size": 10}))
    database.execute("ALTER TABLE t RENAME TO events")
    job = Job(database, "backfill", **COUNT_UP | {"table": "events"})
    with pytest.raises(RefusedError, match='run 1 knew as "t"'):
        job()
    ended = job(same_table=True)
    assert (ended.reason, ended.run) == ("already-done" if finished else "done", 1)
    assert job().reason == "already-done"
    assert database.column("SELECT DISTINCT m FROM events") == [1]
    assert job(restart=True).rows == ROWS


@pytest.mark.wide(1)
@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
@pytest.mark.parametrize("verb", ["purge", "backfill"])
def test_what_may_be_repeated_begins_anew_and_says_so(
    new_database: NewDatabase, batchops: Batchops, name: str, verb: str
) -> None:
    database = new_database(name)
    numbered(database, ROWS, m=("integer", "0"))
    more = ["--set", "m = 1"] if verb == "backfill" else ["--strategy", "key"]
    words = (verb, "t", "--all-rows", *more, "-y", "--url", database.url)
    assert batchops(*words, "--max-rows", "40", "--batch-size", "10").code == 0
    database.execute("DROP TABLE t")
    anew(database)
    again = batchops(*words)
    assert "starts from the beginning" in again.err, again
    assert f"{verb} t: done: 100 rows" in again.out, again
    quiet = batchops(*words)
    assert "starts from the beginning" not in quiet.err, quiet


def test_a_dry_run_tells_of_it_and_writes_nothing(postgresql: Database, batchops: Batchops) -> None:
    numbered(postgresql, ROWS, m=("integer", "0"))
    half(postgresql, **COUNT_UP)
    postgresql.execute("DROP TABLE t")
    anew(postgresql)
    before = postgresql.rows("SELECT * FROM batchops_run")
    words = ("backfill", "t", "--all-rows", "--set", "m = m + 1", "--url", postgresql.url)
    dry = batchops(*words, "-n", "--json")
    assert (dry.code, dry.json()["reason"]) == (12, "refused"), dry
    assert batchops(*words, "-n", "--same-table").code == 0
    assert postgresql.rows("SELECT * FROM batchops_run") == before
    both = batchops(*words, "-y", "--restart", "--same-table")
    assert (both.code, "exclude each other" in both.err) == (2, True), both


@pytest.mark.full
def test_in_a_recipe(sqlite: Database, batchops: Batchops, tmp_path: Path) -> None:
    """A job that is done already is done for those that need it, and says so in its line and in the document."""
    numbered(sqlite, ROWS, m=("integer", "0"))
    recipe = tmp_path / "jobs.toml"
    recipe.write_text(
        f'[defaults]\nurl = "{sqlite.url}"\ntable = "t"\n[job.count]\nverb = "backfill"\nall-rows = true\n'
        'set = "m = m + 1"\nsame-table = true\n[job.rest]\nverb = "purge"\nwhere = "m = 7"\nneeds = ["count"]\n'
    )
    assert batchops("run", recipe, "-y").code == 0
    again = batchops("run", recipe, "-y")
    assert again.code == 0, again
    assert "count: backfill t: already done by run 1 at" in again.out
    document = batchops("run", recipe, "-y", "--json").json()
    assert [job["reason"] for job in document["jobs"]] == ["already-done", "done"]
    assert document["jobs"][0]["done_at"].startswith("20")


@pytest.mark.full
def test_a_ledger_elsewhere_knows_its_targets_by_their_place(postgresql: Database, new_database: NewDatabase) -> None:
    ledger, other = new_database("sqlite"), new_database("postgresql")
    for database in (postgresql, other):
        numbered(database, ROWS, m=("integer", "0"))
        half(database, ledger=ledger.url, **MARK)
    assert len({row[0] for row in ledger.rows("SELECT job FROM batchops_run")}) == 2
    finished = Job(other, "backfill", ledger=ledger.url, **MARK)()
    assert (finished.run, finished.rows) == (2, ROWS)
