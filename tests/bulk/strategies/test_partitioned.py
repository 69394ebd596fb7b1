"""Partitioned and inherited tables: the same rows as one statement on the parent, whatever its leaves look like."""

import time
from typing import Any

import pytest

import batchops as library
from batchops.events import Committed
from tests.command import Batchops
from tests.figures import Figures
from tests.services.database import Database

COLUMNS = "id bigint NOT NULL, made date NOT NULL, kind integer NOT NULL, note text"
KEYED = f"{COLUMNS}, PRIMARY KEY (id, made)"
ROWS = 9_000

RANGE = (
    f"CREATE TABLE events ({KEYED}) PARTITION BY RANGE (made);"
    "CREATE TABLE e1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');"
    "CREATE TABLE e2 PARTITION OF events FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');"
    "CREATE TABLE e3 PARTITION OF events DEFAULT;"
)
SHAPES = {
    "range": RANGE,
    "list": f"CREATE TABLE events ({COLUMNS}, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);"
    "CREATE TABLE e1 PARTITION OF events FOR VALUES IN (0, 2);"
    "CREATE TABLE e2 PARTITION OF events DEFAULT;",
    "hash": f"CREATE TABLE events ({KEYED}) PARTITION BY HASH (id);"
    + "".join(f"CREATE TABLE e{i} PARTITION OF events FOR VALUES WITH (MODULUS 3, REMAINDER {i});" for i in range(3)),
    "sub-partitions": f"CREATE TABLE events ({COLUMNS}, PRIMARY KEY (id, made, kind)) PARTITION BY RANGE (made);"
    "CREATE TABLE e1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01') PARTITION BY LIST (kind);"
    'CREATE SCHEMA "other s";'
    'CREATE TABLE "other s"."e.1" PARTITION OF e1 FOR VALUES IN (0, 1); CREATE TABLE e12 PARTITION OF e1 DEFAULT;'
    "CREATE TABLE e2 PARTITION OF events DEFAULT;",
    "other columns": f"CREATE TABLE events ({KEYED}) PARTITION BY RANGE (made);"
    "CREATE TABLE e1 (note text, gone integer, kind integer NOT NULL, made date NOT NULL, id bigint NOT NULL);"
    "ALTER TABLE e1 DROP gone;"
    "ALTER TABLE events ATTACH PARTITION e1 FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');"
    "CREATE TABLE e2 PARTITION OF events DEFAULT; ALTER TABLE events ADD late integer DEFAULT 7;"
    "ALTER TABLE events DROP late;",
    "no key": f"CREATE TABLE events ({COLUMNS}) PARTITION BY RANGE (made);"
    "CREATE TABLE e1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');"
    "CREATE TABLE e2 PARTITION OF events DEFAULT;",
    "inheritance": f"CREATE TABLE events ({COLUMNS}, PRIMARY KEY (id));"
    "CREATE TABLE e1 (PRIMARY KEY (id)) INHERITS (events); CREATE TABLE e2 (more text) INHERITS (e1);",
}
FILL = (
    "INSERT INTO events SELECT i, date '2024-01-01' + i % 90, i % 4, repeat('x', i % 50) "
    f"FROM generate_series(1, {ROWS}) i;"
)
# The same keys in parent and children: they are three tables.
HEIRS = FILL + "".join(
    f"INSERT INTO {t} SELECT i, date '2024-01-01' + i % 90, i % 4, '' FROM generate_series(1, {ROWS}) i;"
    for t in ("e1", "e2")
)
BY_PARENT = "events.made < '2024-02-20' AND events.kind < 2"
"""Through the parent's name, as a leaf is not called."""


def make(database: Database, shape: str) -> None:
    database.script(SHAPES[shape] + (HEIRS if shape == "inheritance" else FILL))
    database.script("CREATE TABLE plain AS SELECT * FROM events; ANALYZE")
    database.script(f"DELETE FROM plain WHERE {BY_PARENT.replace('events.', '')}")


def purge(database: Database, **options: Any) -> "library.Finished":
    return library.purge(**{"url": database.url, "table": "events", "where": BY_PARENT, "batch_size": 300} | options)


def differences(database: Database) -> int:
    """Rows in which the table is not what one statement has left."""
    every = "SELECT id, made, kind, note FROM"
    return sum(
        database.scalar(f"SELECT count(*) FROM ({every} {a} EXCEPT ALL {every} {b}) d")
        for a, b in (("events", "plain"), ("plain", "events"))
    )


@pytest.mark.wide(3)
@pytest.mark.parametrize("strategy", ["block", "match"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_rows_as_one_statement(
    postgresql: Database, shape: str, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchops.bulk.strategies.block.WORTH_SPLITTING", 300)
    monkeypatch.setattr("batchops.bulk.strategies.match_keys.WORTH_SPLITTING", 300)
    make(postgresql, shape)
    done = purge(postgresql, workers=3 if shape == "sub-partitions" else 1, strategy=strategy)
    assert (done.reason, done.strategy) == ("done", strategy)
    assert differences(postgresql) == 0


@pytest.mark.wide(1)
@pytest.mark.parametrize("shape", ["range", "sub-partitions", "other columns"])
def test_along_the_key(postgresql: Database, shape: str) -> None:
    make(postgresql, shape)
    done = purge(postgresql, strategy="key")
    assert (done.reason, done.strategy) == ("done", "key")
    assert differences(postgresql) == 0


@pytest.mark.wide(1)
@pytest.mark.parametrize("shape", ["range", "sub-partitions", "inheritance"])
def test_backfill(postgresql: Database, shape: str) -> None:
    make(postgresql, shape)
    postgresql.script("DROP TABLE plain; CREATE TABLE plain AS SELECT * FROM events")
    where = BY_PARENT.replace("events.", "")
    postgresql.script(f"UPDATE plain SET note = note || '!' WHERE {where}")
    done = library.backfill(
        url=postgresql.url, table="events", where=BY_PARENT, set=["note = note || '!'"], batch_size=300
    )
    assert done.reason == "done"
    assert differences(postgresql) == 0


@pytest.mark.full
def test_max_rows_and_going_on(postgresql: Database) -> None:
    make(postgresql, "sub-partitions")
    for _ in range(3):
        assert purge(postgresql, max_rows=500).rows == 500
    assert purge(postgresql).reason == "done"
    assert differences(postgresql) == 0


def test_a_role_without_rights_on_the_leaves(postgresql: Database) -> None:
    """It may delete through the parent only."""
    make(postgresql, "range")
    role = f"r_{postgresql.name}"
    postgresql.script(
        f"CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT SELECT, UPDATE, DELETE ON events TO {role};"
        f"GRANT CREATE ON SCHEMA public TO {role}"
    )
    try:
        parts = postgresql.url.split("://", 1)[1].split("@", 1)
        url = f"postgresql://{role}:x@{parts[1]}"
        done = purge(postgresql, url=url)
        assert (done.reason, done.strategy) == ("done", "key")
        assert differences(postgresql) == 0
    finally:
        postgresql.script(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_row_level_security_on_the_parent(postgresql: Database) -> None:
    """A policy on the parent holds for what is deleted through it, and not for the leaves."""
    make(postgresql, "range")
    role = f"r_{postgresql.name}"
    postgresql.script(
        f"CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};"
        f"GRANT CREATE ON SCHEMA public TO {role};"
        "ALTER TABLE events ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY even ON events USING (id % 2 = 0)"
    )
    try:
        url = f"postgresql://{role}:x@{postgresql.url.split('://', 1)[1].split('@', 1)[1]}"
        done = purge(postgresql, url=url, allow=["rls"])
        assert done.reason == "done"
        gone = postgresql.scalar("SELECT count(*) FROM events")
        odd = postgresql.scalar(f"SELECT count(*) FROM events WHERE {BY_PARENT} AND id % 2 = 1")
        even = postgresql.scalar(f"SELECT count(*) FROM events WHERE {BY_PARENT} AND id % 2 = 0")
        assert (odd > 0, even) == (True, 0), gone
    finally:
        postgresql.script(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_leaf_dropped_meanwhile(postgresql: Database) -> None:
    """Said clearly; the same command goes on with what is left."""
    make(postgresql, "range")
    batches: list[Committed] = []

    def drop(event: object) -> None:
        if isinstance(event, Committed):
            batches.append(event)
            if len(batches) == 2:
                postgresql.script("DROP TABLE e2")

    first = purge(postgresql, on_event=drop)
    if first.reason != "done":
        assert first.error is not None
        assert "e2" in first.error.message
        assert purge(postgresql).reason == "done"
    assert postgresql.scalar(f"SELECT count(*) FROM events WHERE {BY_PARENT}") == 0


def test_foreign_leaves(postgresql: Database) -> None:
    """Walked through the parent, or refused: never by their own blocks."""
    make(postgresql, "no key")
    postgresql.script(
        "CREATE EXTENSION IF NOT EXISTS file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;"
        "CREATE FOREIGN TABLE e9 PARTITION OF events FOR VALUES FROM ('2030-01-01') TO ('2030-02-01') "
        "SERVER files OPTIONS (filename '/dev/null', format 'csv')"
    )
    try:
        done = purge(postgresql)
    except library.BatchopsError as error:
        assert error.exit == 12
        return
    assert (done.reason, done.strategy) == ("done", "key")
    assert differences(postgresql) == 0


def test_mariadb_by_keys(mariadb: Database) -> None:
    mariadb.script(
        "CREATE TABLE events (id bigint NOT NULL, made date NOT NULL, kind integer NOT NULL, PRIMARY KEY (id, made)) "
        "PARTITION BY RANGE (to_days(made)) (PARTITION p1 VALUES LESS THAN (to_days('2024-02-01')), "
        "PARTITION p2 VALUES LESS THAN MAXVALUE)"
    )
    mariadb.execute(
        f"INSERT INTO events SELECT seq, date '2024-01-01' + INTERVAL seq % 90 DAY, seq % 4 FROM seq_1_to_{ROWS}"
    )
    expected = mariadb.scalar(f"SELECT count(*) FROM events WHERE {BY_PARENT}")
    done = purge(mariadb)
    assert (done.reason, done.strategy, done.rows) == ("done", "key", expected)
    assert mariadb.scalar(f"SELECT count(*) FROM events WHERE {BY_PARENT}") == 0


@pytest.mark.full
@pytest.mark.parametrize(("partitions", "rows"), [(40, 20_000), pytest.param(200, 2_000_000, marks=pytest.mark.full)])
def test_many_partitions(
    batchops: Batchops, postgresql: Database, partitions: int, rows: int, figures: Figures
) -> None:
    leaves = "".join(
        f"CREATE TABLE e{i} PARTITION OF events FOR VALUES FROM ({i * rows // partitions}) "
        f"TO ({(i + 1) * rows // partitions});"
        for i in range(partitions)
    )
    postgresql.script(
        "CREATE TABLE events (id bigint PRIMARY KEY, kind integer NOT NULL, note text) PARTITION BY RANGE (id);"
        f"{leaves}"
        f"INSERT INTO events SELECT i, i % 4, repeat('x', 80) FROM generate_series(0, {rows - 1}) i; ANALYZE"
    )
    start = time.perf_counter()
    plan = batchops("purge", "events", "--where", "kind < 2", "--url", postgresql.url, "-n", "--json")
    planned = time.perf_counter() - start
    assert plan.code == 0
    done = purge(postgresql, where="kind < 2", batch_size=None)
    assert (done.reason, done.strategy, done.rows) == ("done", "block", rows // 2)
    assert postgresql.scalar("SELECT count(*) FROM events WHERE kind < 2") == 0
    figures(rows=rows, seconds_of_the_plan=planned, seconds_of_the_run=done.seconds, batches=done.batches)
