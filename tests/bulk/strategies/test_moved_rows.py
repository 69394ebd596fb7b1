"""A row that is changed while the job waits for its lock: it is not lost, and nor are its neighbours."""

from contextlib import ExitStack
from itertools import count

import pytest
import sqlalchemy as sa

import batchops as library
from batchops.bulk.replan import ReadMeter
from batchops.events import Committed
from tests.bulk.strategies.locked_rows import held
from tests.services.database import Database

VETO = """
CREATE FUNCTION may_veto() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
CREATE TRIGGER may_veto BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION may_veto();
"""
"""Rows are locked by a list of keys then, as the database may say nothing of one that it leaves."""


def make(database: Database, rows: int = 3_000) -> None:
    database.script(
        "CREATE TABLE t (id integer PRIMARY KEY, rank integer NOT NULL, note text NOT NULL);"
        "ALTER TABLE t ALTER note SET STORAGE PLAIN;"
        f"INSERT INTO t SELECT i, i, '' FROM generate_series(1, {rows}) i;"
        "CREATE INDEX t_rank ON t (rank); ANALYZE t"
    )


def purge(database: Database, where: str, **options: object) -> "library.Finished":
    return library.purge(url=database.url, table="t", where=where, allow=["triggers", "scan"], **options)


@pytest.mark.wide(1)
@pytest.mark.parametrize("strategy", ["key", "match"])
def test_a_row_that_moves_up_takes_nobody_with_it(postgresql: Database, strategy: str) -> None:
    """The list of keys that a batch has locked ends with the moved row; those that it passed by were not in it."""
    make(postgresql)
    postgresql.script(VETO + "DELETE FROM t WHERE id = 2050; ANALYZE t")
    with held(postgresql, "UPDATE t SET id = 2050, rank = 2050 WHERE id = 2010"):
        finished = purge(postgresql, "rank BETWEEN 2001 AND 2100", strategy=strategy, batch_size=10)
    assert finished.strategy == strategy
    assert postgresql.column("SELECT id FROM t WHERE rank BETWEEN 2001 AND 2100") == []


HALF = "id % 2 = 0"
"""Enough of a block for plain ranges, without a list of rows."""
SPARSE = "id % 20 = 0"
LONGER = f"UPDATE t SET note = '{'x' * 7000}' WHERE id ="
"""No block has room for such a row but one that is empty, or a new one."""


def block_of(connection: sa.Connection, key: int) -> int:
    query = sa.text("SELECT split_part(trim(CAST(ctid AS text), '()'), ',', 1) FROM t WHERE id = :key")
    return int(connection.execute(query, {"key": key}).scalar_one())


def last_block(database: Database) -> int:
    with database.engine.connect() as connection:
        return block_of(connection, 3000)


def purge_while_one_grows(
    database: Database, where: str, strategy: str = "block", after: int = 1, **options: object
) -> tuple["library.Finished", int]:
    """Row 2500 gets another place after some commits, and is waited for; how it ended, which block."""
    commits = count(1)
    moved: list[int] = []
    with ExitStack() as stack:

        def grow(event: object) -> None:
            if isinstance(event, Committed) and next(commits) == after:
                stack.enter_context(held(database, LONGER + "2500", then=lambda by: moved.append(block_of(by, 2500))))

        finished = purge(database, where, strategy=strategy, on_event=grow, **options)
    assert moved, "the job did not wait"
    return finished, moved[0]


@pytest.mark.wide(2)
@pytest.mark.parametrize(("strategy", "where"), [("block", HALF), ("match", HALF), ("match", SPARSE)])
@pytest.mark.parametrize("empty", [0, 1], ids=["beyond the end", "behind the cursor"])
def test_blocks_pass_again(postgresql: Database, empty: int, strategy: str, where: str) -> None:
    """The DELETE leaves a row alone that has another place by then; a further pass finds it there."""
    make(postgresql)
    if empty:
        postgresql.execute("DELETE FROM t WHERE id < 400")
        postgresql.execute("VACUUM t")
    last = last_block(postgresql)
    finished, block = purge_while_one_grows(postgresql, where, strategy, batch_size=20 if where == SPARSE else 200)
    assert block == 0 if empty else block > last
    assert (finished.reason, finished.strategy) == ("done", strategy)
    assert postgresql.column(f"SELECT id FROM t WHERE {where}") == []


@pytest.mark.wide(1)
@pytest.mark.parametrize("size", [200, 50], ids=["plain", "listed"])
def test_without_a_further_pass_such_a_row_lives_on(postgresql: Database, size: int) -> None:
    make(postgresql)
    finished, _ = purge_while_one_grows(postgresql, HALF, batch_size=size, no_final_pass=True)
    assert finished.reason == "done"
    assert postgresql.column(f"SELECT id FROM t WHERE {HALF}") == [2500]


def test_nor_is_there_one_after_a_change_of_strategy(postgresql: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first batch is said to read too much; the strategy that takes over finds --no-final-pass too."""
    make(postgresql)
    warnings = iter(["A batch reads too much."])
    monkeypatch.setattr("batchops.bulk.replan.EVERY", 1)
    monkeypatch.setattr(ReadMeter, "check", lambda *_: next(warnings, None))
    finished, _ = purge_while_one_grows(postgresql, HALF, "key", after=2, batch_size=200, no_final_pass=True)
    assert (finished.reason, finished.strategy) == ("done", "block")
    assert postgresql.column(f"SELECT id FROM t WHERE {HALF}") == [2500]


@pytest.mark.wide(2)
@pytest.mark.parametrize("strategy", ["key", "block", "match", "limit"])
@pytest.mark.parametrize("options", [{}, {"max_rows": 40}], ids=["plain", "listed"])
def test_a_row_that_no_longer_matches_is_left_alone(
    postgresql: Database, strategy: str, options: dict[str, object]
) -> None:
    make(postgresql)
    waited: list[bool] = []
    with held(postgresql, "UPDATE t SET rank = 9000 WHERE id = 9", then=lambda _: waited.append(True)):
        purge(postgresql, "rank < 40", strategy=strategy, batch_size=25, **options)
    assert waited
    assert postgresql.column("SELECT id FROM t WHERE rank < 40 OR id = 9") == [9]
