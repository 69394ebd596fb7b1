"""Galera's flow control on two real nodes, of which one is slow."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.services import mariadb
from tests.services.database import Database
from tests.services.galera import cluster
from tests.services.private import Private
from tests.services.server import UnavailableError
from tests.throttles.run import ThrottledRun

PURGE = ("purge", "t", "--where", "v = 1", "-y")
ROWS = 300


@pytest.fixture
def nodes() -> Iterator[tuple[Private, Private]]:
    try:
        with cluster() as pair:
            yield pair
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.full
def test_a_slow_node_holds_the_run_until_it_has_caught_up(
    nodes: tuple[Private, Private], new_database: NewDatabase, batchops: Batchops, tmp_path: Path
) -> None:
    first, second = nodes
    table = new_database("mariadb", at=replace(first.server, version="?"))
    table.script("CREATE TABLE t (id integer PRIMARY KEY, v integer)")
    table.execute(f"INSERT INTO t SELECT seq, 1 FROM seq_1_to_{ROWS}")
    with closing(mariadb.connect(second.url, autocommit=True)) as other, other.cursor() as slow:
        slow.execute("SET GLOBAL slave_run_triggers_for_rbr = 'YES'")
        slow.execute("SET wsrep_on = OFF")  # the trigger is of this node alone
        slow.execute(
            f"CREATE TRIGGER {table.name}.slow BEFORE DELETE ON {table.name}.t FOR EACH ROW SET @slept = sleep(0.05)"
        )
        run = ThrottledRun(
            batchops, tmp_path, *PURGE, "--url", table.url, "--batch-size", 5, "--sleep", "10ms", "--strategy", "key",
            "--throttle", "flow-control=0.2",
        )  # fmt: skip
        why = run.until_throttled()
        slow.execute("SET GLOBAL slave_run_triggers_for_rbr = 'NO'")
    assert (why["reason"].startswith("flow-control: 0."), why["limit"], why["value"] > 0.2) == (True, 0.2, True)
    assert run.end()["rows"] == ROWS


def test_a_server_that_is_no_node_is_refused(mariadb: Database, batchops: Batchops) -> None:
    mariadb.script("CREATE TABLE t (id integer PRIMARY KEY, v integer)")
    wrong = batchops(*PURGE, "--url", mariadb.url, "--throttle", "flow-control=0.2")
    assert (wrong.code, "this server is no node of a Galera cluster" in wrong.err) == (12, True), wrong.err
