"""What is warned of and not refused: each made for real, said before the first write, and the job done all the same."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

from tests.bulk.plan.test_plan import plan
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.services import mariadb as mariadb_service
from tests.services.database import Database
from tests.services.private import Private
from tests.services.server import Missing, UnavailableError


@contextmanager
def prepared(database: Database) -> Iterator[None]:
    gid = f"left-behind-{database.name}"
    connection = database.engine.connect()
    connection.exec_driver_sql("INSERT INTO t VALUES (100, 0)")
    connection.exec_driver_sql(f"PREPARE TRANSACTION '{gid}'")
    connection.close()
    try:
        yield
    finally:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as ending:
            ending.exec_driver_sql(f"ROLLBACK PREPARED '{gid}'")


@contextmanager
def slot(database: Database) -> Iterator[None]:
    name = f"nobody_{database.name}"
    database.execute(f"SELECT pg_create_physical_replication_slot('{name}', true)")
    try:
        yield
    finally:
        database.execute(f"SELECT pg_drop_replication_slot('{name}')")


@contextmanager
def published(database: Database) -> Iterator[None]:
    database.script("ALTER TABLE t REPLICA IDENTITY FULL")
    database.script("CREATE PUBLICATION all_of_t FOR TABLE t")
    yield


SITUATIONS = {
    "Prepared transaction": prepared,
    "has no consumer and keeps": slot,
    "published with REPLICA IDENTITY FULL": published,
}


def two_rows(database: Database) -> None:
    database.script("CREATE TABLE t (id integer PRIMARY KEY, kind integer); INSERT INTO t VALUES (1, 1), (2, 2)")


@pytest.mark.wide(2)
@pytest.mark.parametrize("words", SITUATIONS)
def test_what_postgresql_keeps_or_sends_for_others(batchops: Batchops, postgresql: Database, words: str) -> None:
    two_rows(postgresql)
    with SITUATIONS[words](postgresql):
        warnings = plan(batchops, postgresql, "purge", "t", "--all-rows")["warnings"]
        assert any(words in warning for warning in warnings), warnings
        done = batchops("purge", "t", "--where", "kind = 1", "--url", postgresql.url, "-y")
        assert done.code == 0, done
        assert words in done.err
    assert postgresql.rows("SELECT id FROM t") == [(2,)]
    calm = plan(batchops, postgresql, "purge", "t", "--all-rows")["warnings"]
    assert words.startswith("published") or not any(words in warning for warning in calm)


@pytest.fixture
def with_binlog(without: Callable[[Missing], NoReturn]) -> Iterator[Private]:
    """A MariaDB that keeps a binary log."""
    try:
        private = mariadb_service.private()
    except UnavailableError as error:
        without(Missing(mariadb_service.NAME, str(error)))
    private.argv = [*private.argv, f"--log-bin={private.folder / 'binlog'}", "--server-id=1"]
    private.start()
    try:
        yield private
    finally:
        private.remove()


@pytest.mark.full
def test_a_statement_based_binary_log(batchops: Batchops, with_binlog: Private, new_database: NewDatabase) -> None:
    database = new_database("mariadb", at=with_binlog.server)
    two_rows(database)
    database.execute("SET GLOBAL binlog_format = 'STATEMENT'")
    warnings = plan(batchops, database, "purge", "t", "--all-rows")["warnings"]
    assert any("statement-based" in warning for warning in warnings), warnings
    database.execute("SET GLOBAL binlog_format = 'ROW'")
    said = plan(batchops, database, "purge", "t", "--all-rows")
    assert not any("statement-based" in warning for warning in said["warnings"])
    done = batchops("purge", "t", "--where", "kind = 1", "--url", database.url, "-y")
    assert done.code == 0, done
    assert database.rows("SELECT id FROM t") == [(2,)]
