"""Tables of applications that have columns called attempts, lease, next_at … already."""

import pytest

from tests.command import Result
from tests.queue.jobs import here
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

PENDING = ("--where", "status = 0", "--done", "status = 1", "--json")
NOOP = ("--call", "tests.queue.functions:noop")
ODD = ("--call", "tests.queue.functions:some_fail")
LARAVEL = (
    "CREATE TABLE jobs (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, queue varchar(255) NOT NULL DEFAULT 'default',"
    " payload longtext NOT NULL, attempts tinyint unsigned NOT NULL, reserved_at int unsigned, available_at int"
    " unsigned NOT NULL, created_at int unsigned NOT NULL, status int NOT NULL DEFAULT 0, KEY (queue))"
)
WOLVERINE = (
    "CREATE TABLE jobs (id uuid PRIMARY KEY, owner_id integer NOT NULL, destination varchar NOT NULL, deliver_by"
    " timestamptz, body bytea NOT NULL, attempts integer DEFAULT 0, message_type varchar NOT NULL,"
    " status integer NOT NULL DEFAULT 0)"
)
DELAYED_JOB = (
    "CREATE TABLE jobs (id bigserial PRIMARY KEY, priority integer NOT NULL DEFAULT 0, attempts integer NOT NULL"
    " DEFAULT 0, handler text NOT NULL, last_error text, run_at timestamp, locked_at timestamp, failed_at timestamp,"
    " locked_by varchar, status integer NOT NULL DEFAULT 0)"
)
GOOD_JOB = (
    "CREATE TABLE jobs (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), queue_name text, priority integer,"
    " serialized_params jsonb, scheduled_at timestamp, performed_at timestamp, finished_at timestamp, error text,"
    " executions_count integer, status integer NOT NULL DEFAULT 0)"
)
SOLID_QUEUE = (
    "CREATE TABLE jobs (id integer PRIMARY KEY AUTOINCREMENT, queue_name varchar NOT NULL, class_name varchar NOT NULL,"
    " arguments text, priority integer DEFAULT 0 NOT NULL, scheduled_at datetime(6), finished_at datetime(6),"
    " concurrency_key varchar, status integer NOT NULL DEFAULT 0)"
)
MESSENGER = (
    "CREATE TABLE jobs (id bigint AUTO_INCREMENT PRIMARY KEY, body longtext NOT NULL, headers longtext NOT NULL,"
    " queue_name varchar(190) NOT NULL, created_at datetime NOT NULL, available_at datetime NOT NULL,"
    " delivered_at datetime, status int NOT NULL DEFAULT 0)"
)
DJANGO_Q = (
    "CREATE TABLE jobs (id integer PRIMARY KEY AUTOINCREMENT, key varchar(100) NOT NULL, payload text NOT NULL,"
    " lock datetime, status integer NOT NULL DEFAULT 0)"
)
OTHERS = {
    "good_job": ("postgresql", GOOD_JOB, "INSERT INTO jobs (queue_name) VALUES ('a'), ('b')"),
    "solid_queue": ("sqlite", SOLID_QUEUE, "INSERT INTO jobs (queue_name, class_name) VALUES ('a', 'A'), ('b', 'B')"),
    "messenger": (
        "mariadb", MESSENGER,
        "INSERT INTO jobs (body, headers, queue_name, created_at, available_at)"
        " VALUES ('', '', 'a', now(), now()), ('', '', 'b', now(), now())",
    ),
    "django_q": ("sqlite", DJANGO_Q, "INSERT INTO jobs (key, payload) VALUES ('a', ''), ('b', '')"),
}  # fmt: skip


def init(database: Database, *args: str) -> Result:
    return here("queue", "init", "jobs", "--apply", "--url", database.url, *args)


def drain(database: Database, *args: str) -> Result:
    return here("drain", "jobs", "--url", database.url, *PENDING, *args)


@pytest.mark.wide(2)
@pytest.mark.parametrize("name", OTHERS)
def test_a_well_known_queue_is_drained(name: str, request: pytest.FixtureRequest) -> None:
    server, table, rows = OTHERS[name]
    database: Database = request.getfixturevalue(server)
    database.execute(table)
    database.execute(rows)
    assert init(database).code == 0
    assert drain(database, *NOOP).json()["rows"] == 2


def test_a_row_that_cannot_be_counted_is_set_aside_and_the_rest_drained(mariadb: Database) -> None:
    mariadb.execute(LARAVEL)
    mariadb.execute(
        "INSERT INTO jobs (payload, attempts, available_at, created_at)"
        " VALUES ('{}', 255, 0, 0), ('{}', 0, 0, 0), ('{}', 254, 0, 0), ('{}', 0, 0, 0)"
    )
    made = init(mariadb)
    assert "attempts (tinyint(3) unsigned) is there already and is used" in made.out
    assert "--lease-prefix" in made.out
    planned = here("drain", "jobs", "--url", mariadb.url, *PENDING[:-1], *NOOP, "--dry-run")
    assert "attempts (tinyint(3) unsigned) is the table's own, taken over" in planned.out
    result = drain(mariadb, *NOOP)
    document = result.json()
    assert (result.code, document["rows"], document["dead_letters"]) == (3, 3, 1), document
    assert "attempts stand at 255" in document["error"]["message"]
    assert "id=1" in document["error"]["message"]
    assert mariadb.column("SELECT id FROM jobs WHERE status = 0") == [1]
    assert here("queue", "redrive", "jobs", "--all", "--url", mariadb.url).code == 0
    assert drain(mariadb, *NOOP).json()["rows"] == 1


def test_a_column_that_ends_before_the_attempts_do_is_refused(mariadb: Database) -> None:
    mariadb.execute(LARAVEL)
    assert init(mariadb).code == 0
    result = drain(mariadb, *NOOP, "--max-attempts", "300")
    assert result.code == 12, result
    assert "counts to 255" in result.json()["error"]["message"]


@pytest.mark.parametrize("handler", ["fails", "fails_inside"])
def test_null_is_read_as_no_attempt(postgresql: Database, handler: str) -> None:
    postgresql.execute(WOLVERINE)
    postgresql.execute(
        "INSERT INTO jobs (id, owner_id, destination, body, attempts, message_type)"
        " SELECT gen_random_uuid(), 1, 'x', '', NULL, 'm' FROM generate_series(1, 3)"
    )
    assert init(postgresql).code == 0
    result = drain(postgresql, "--call", f"tests.queue.functions:{handler}", "--backoff", "1h")
    assert (result.code, result.json()["failed"], result.json()["waiting"]) == (3, 3, 3), result
    assert postgresql.column("SELECT DISTINCT attempts FROM jobs") == [1]


def test_attempts_that_a_check_ends_before_max_attempts_are_refused(postgresql: Database) -> None:
    postgresql.execute(
        "CREATE TABLE jobs (id integer PRIMARY KEY, status integer DEFAULT 0, attempts integer CHECK (attempts < 4))"
    )
    postgresql.execute("INSERT INTO jobs (id) VALUES (1)")
    assert init(postgresql).code == 0
    refused = drain(postgresql, *NOOP)
    assert (refused.code, "check" in refused.json()["error"]["message"]) == (12, True), refused
    assert drain(postgresql, *NOOP, "--max-attempts", "3").json()["rows"] == 1


@pytest.mark.parametrize("type", ["int unsigned", pytest.param("tinyint unsigned NOT NULL", marks=pytest.mark.full)])
def test_an_unsigned_count_of_mariadb_makes_a_failed_row_wait(mariadb: Database, type: str) -> None:
    """The server's sum of it and 1 is a DECIMAL."""
    mariadb.execute(f"CREATE TABLE jobs (id integer PRIMARY KEY, status integer DEFAULT 0, attempts {type} DEFAULT 0)")
    mariadb.execute("INSERT INTO jobs (id) VALUES (1)")
    assert init(mariadb).code == 0
    result = drain(mariadb, "--call", "tests.queue.functions:fails", "--backoff", "1h")
    assert (result.code, result.json()["waiting"]) == (3, 1), result


def test_a_prefix_leaves_the_applications_columns_alone(postgresql: Database) -> None:
    postgresql.execute(DELAYED_JOB)
    postgresql.execute("INSERT INTO jobs (handler, attempts) SELECT 'h', 5 FROM generate_series(1, 10)")
    told = init(postgresql, "--lease-prefix", "batchops_")
    assert (told.code, told.out) == (0, "jobs can be drained.\n")
    assert "no place" in drain(postgresql, *NOOP).json()["error"]["message"]
    ours = ("--lease-prefix", "batchops_")
    result = drain(postgresql, *ODD, *ours, "--backoff", "1h")
    assert (result.code, result.json()["rows"], result.json()["waiting"]) == (0, 9, 1), result
    assert postgresql.column("SELECT DISTINCT attempts FROM jobs") == [5]
    where = ("--where", "status = 0", "--url", postgresql.url)
    assert here("queue", "show", "jobs", *where, *ours, "--json").json()["waiting"] == 1
    postgresql.execute("UPDATE jobs SET batchops_next_at = NULL")
    assert drain(postgresql, *ODD, *ours, "--max-attempts", "1").json()["dead_letters"] == 1
    assert here("queue", "redrive", "jobs", "--all", "--url", postgresql.url, *ours).out == "jobs: 1 rows put back.\n"


UNFIT = {
    "time": ("postgresql", "next_at timestamptz DEFAULT now()", "timestamp with time zone"),
    "time-of-mariadb": ("mariadb", "lease_until datetime", "datetime"),
    "time-of-sqlite": ("sqlite", "next_at datetime", "datetime"),
    "flag": ("postgresql", "lease boolean", "boolean"),
    "document": ("postgresql", "failure jsonb", "jsonb"),
    "short": ("postgresql", "failure varchar(100)", "character varying(100)"),
    "never-null": ("mariadb", "lease varchar(60) NOT NULL DEFAULT ''", "NOT NULL"),
    "text": ("sqlite", "attempts text", "TEXT"),
    "rounded": ("postgresql", "lease_until real", "real"),
    "check": ("postgresql", "attempts integer CHECK (attempts = 0)", "check"),
    "check-of-sqlite": ("sqlite", "failure text CHECK (failure IN ('mail', 'network'))", "check"),
    "json-of-mariadb": ("mariadb", "failure json", "check failure"),
    "case-of-mariadb": ("mariadb", "`Attempts` integer", "case alone"),
    "case-of-sqlite": ("sqlite", "LEASE varchar(60)", "case alone"),
    "generated": ("postgresql", "attempts integer GENERATED ALWAYS AS (1) STORED", "generated"),
}


@pytest.mark.wide(2)
@pytest.mark.parametrize("kind", UNFIT)
def test_a_column_that_cannot_serve_is_refused_with_the_way_out(kind: str, request: pytest.FixtureRequest) -> None:
    server, column, said = UNFIT[kind]
    database: Database = request.getfixturevalue(server)
    database.execute(f"CREATE TABLE jobs (id integer PRIMARY KEY, status integer DEFAULT 0, {column})")
    database.execute("INSERT INTO jobs (id) VALUES (1)")
    refused = init(database)
    assert refused.code == 12, refused
    assert said.lower() in refused.err.lower()
    assert "--lease-prefix batchops_" in refused.err
    for way in (("--lease-prefix", "batchops_"), ("--lease-in", "table")):
        database.execute("UPDATE jobs SET status = 0")
        assert init(database, *way).code == 0
        assert drain(database, *NOOP, *way).json()["rows"] == 1


def test_all_five_of_other_types_are_refused_by_the_drain_or_left_for_the_lease_table(database: Database) -> None:
    moment = "timestamp NULL" if database.backend == "mysql" else "timestamp"
    database.execute(
        f"CREATE TABLE jobs (id integer PRIMARY KEY, status integer DEFAULT 0, lease varchar(100), lease_until"
        f" {moment}, attempts integer, next_at {moment}, failure varchar(500))"
    )
    database.execute("INSERT INTO jobs (id) VALUES (1)")
    refused = drain(database, *NOOP)
    assert (refused.code, "timestamp" in refused.json()["error"]["message"]) == (12, True), refused
    assert init(database, "--lease-in", "table").code == 0
    assert drain(database, *NOOP).json()["rows"] == 1


def test_a_lease_that_another_program_keeps_is_not_taken_over(postgresql: Database) -> None:
    postgresql.execute("CREATE TABLE jobs (id integer PRIMARY KEY, status integer DEFAULT 0, lease text)")
    postgresql.execute("INSERT INTO jobs VALUES (1, 0, 'worker-7')")
    refused = init(postgresql)
    assert (refused.code, "another program keeps values in it" in refused.err) == (12, True), refused
