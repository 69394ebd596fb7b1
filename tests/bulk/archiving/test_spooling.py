"""What a worker writes into its spools: blocks of bounded bytes, and nothing over what may count."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import sqlalchemy as sa

from batchops.archive.lines import RowsDigest
from batchops.archive.spool import SpoolWriter
from batchops.bulk.archiving.spooling import SpoolExecution
from batchops.bulk.step import BulkStep
from batchops.bulk.strategies.strategy import Batch
from batchops.db.row_lines import BLOCK_BYTES
from batchops.errors import ConnectionLostError, TransientError
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import Worker
from batchops.runtime.batch_size import Size
from batchops.runtime.outcome import Outcome
from tests.bulk.archiving.archived import rows_in, spools_in
from tests.command import Batchops, here
from tests.conftest import NewDatabase
from tests.crash.scenario import MATCHING, make
from tests.services.database import Database

MB = 1 << 20
_ANSWERING = {
    "postgresql": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
    "AND query LIKE 'COPY (DELETE%'",
    "mariadb": "SELECT id FROM information_schema.processlist WHERE db = database() AND info LIKE 'DELETE%'",
}
_PEAK = """
import atexit, pathlib
status = pathlib.Path("/proc/self/status")
atexit.register(lambda: pathlib.Path("{path}").write_text(status.read_text().split("VmHWM:")[1].split()[0]))
"""


def archive(database: Database, folder: Path, *more: str) -> Any:
    to = ("--to", f"{folder}/", "-y", "--json", "--retry-timeout", "5s")
    done = here("archive", "t", "--url", database.url, "--where", "kind < 4", *to, *more)
    assert done.code == 0, done
    return done.json()


def make_wide(database: Database, rows: int, size: int) -> None:
    """Rows of so many bytes between two small ones."""
    kind = "longtext" if database.backend == "mysql" else "text"
    database.script(f"CREATE TABLE t (id integer PRIMARY KEY, kind integer NOT NULL, words {kind})")
    database.insert("t", ("id", "kind", "words"), [(n, 1, "") for n in range(rows + 2)])
    wide = f"hex(zeroblob({size // 2}))" if database.backend == "sqlite" else f"repeat('0', {size})"
    database.execute(f"UPDATE t SET words = {wide} WHERE id > 0 AND id <= {rows}")


@contextmanager
def frames_written() -> Iterator[list[tuple[str, int, int]]]:
    """Token in the file's name, batch and size of each frame that is written meanwhile."""
    written: list[tuple[str, int, int]] = []
    append = SpoolWriter.append

    def seen(own: SpoolWriter, batch: int, block: bytes, digest: RowsDigest, at: int | None = None) -> int:
        written.append((own.path.stem.split("-")[2], batch, len(block)))
        return append(own, batch, block, digest, at)

    with patch.object(SpoolWriter, "append", seen):
        yield written


@pytest.mark.in_turn
def test_a_batch_of_wide_rows_is_written_in_parts(database: Database, tmp_path: Path) -> None:
    make_wide(database, 30, MB // 3)
    with frames_written() as frames:
        end = archive(database, tmp_path, "--batch-size", "5000", "--format", "jsonl")
    sizes = [size for _, _, size in frames]
    assert (end["rows"], len(rows_in(tmp_path))) == (32, 32)
    assert {batch for _, batch, _ in frames} == {1}
    assert len(frames) >= 8
    assert max(sizes) < BLOCK_BYTES + MB


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_a_session_that_ends_while_its_rows_come_is_begun_anew(
    new_database: NewDatabase, tmp_path: Path, name: str
) -> None:
    """What it has written does not count; a driver has nothing to say about the rest of its answer."""
    database = new_database(name)
    make_wide(database, 60, MB // 3)
    append, killed = SpoolWriter.append, list[object]()

    def kills(own: SpoolWriter, batch: int, block: bytes, digest: RowsDigest, at: int | None = None) -> int:
        if not killed:
            killed.extend(database.column(_ANSWERING[name]))
            for session in killed if name == "mariadb" else ():
                database.execute(f"KILL {session}")
        return append(own, batch, block, digest, at)

    with patch.object(SpoolWriter, "append", kills):
        end = archive(database, tmp_path, "--batch-size", "5000", "--format", "jsonl")
    assert (len(killed), end["retries"]) == (1, 1)
    assert (end["rows"], {*rows_in(tmp_path).values()}, len(rows_in(tmp_path))) == (62, {1}, 62)


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["postgresql", "mariadb", "sqlite"])
@pytest.mark.parametrize("format", ["parquet", "jsonl", "csv"])
def test_few_wide_rows_are_held_at_once(
    new_database: NewDatabase, batchops: Batchops, tmp_path: Path, name: str, format: str
) -> None:
    """All of them together are 200 MB, which every step would hold several times."""
    database, peak = new_database(name), tmp_path / "peak"
    make_wide(database, 40, 5 * MB)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(_PEAK.format(path=peak))
    size = ("--batch-size", "5000", "--format", format)
    words = ("archive", "t", "--url", database.url, "--all-rows", "--to", f"{tmp_path / 'a'}/", "-y", *size)
    done = batchops.apart(*words, env={"PYTHONPATH": str(tmp_path / "site")})
    assert done.code == 0, done
    assert len(rows_in(tmp_path / "a")) == 42
    print(f"{name}, {format}: {int(peak.read_text()) // 1024} MB at the most")
    assert int(peak.read_text()) < 250 * 1024


@pytest.mark.in_turn
def test_a_spool_is_named_by_the_token_that_its_batches_are_recorded_with(database: Database, tmp_path: Path) -> None:
    """Also once the worker has given a part of its range away, which gives it another token."""
    make(database)
    recorded: list[tuple[str, int]] = []
    advance, call = Ledger.advance, BulkStep.__call__

    def seen(own: Ledger, connection: sa.Connection, old: Worker, new: Worker) -> None:
        if new.rows > old.rows:
            recorded.append((old.token, new.batches))
        advance(own, connection, old, new)

    def renamed(own: BulkStep, size: Size) -> Outcome | None:
        if len(recorded) == 3:
            with own._ledger.database.transaction() as connection:  # as `Workers` does it
                own.worker = own._ledger.reassign(connection, own.worker, own.worker.cursor)
        return call(own, size)

    with frames_written() as frames, patch.object(Ledger, "advance", seen), patch.object(BulkStep, "__call__", renamed):
        end = archive(database, tmp_path, "--batch-size", "100")
    assert (end["rows"], len(rows_in(tmp_path)), len({token for token, _ in recorded})) == (MATCHING, MATCHING, 2)
    assert {(token, batch) for token, batch, _ in frames} == {*recorded}


@pytest.mark.in_turn
def test_a_batch_that_may_be_durable_is_not_written_over(database: Database, tmp_path: Path) -> None:
    """What the ledger was told of a spool may count once a COMMIT has failed: the next batch is in another one."""
    make(database)
    record, names = SpoolExecution.record, list[str]()

    def fails_once(own: SpoolExecution, connection: sa.Connection, batch: Batch, after: Worker) -> None:
        record(own, connection, batch, after)
        assert own._root._file is not None
        names.append(own._root._file.path.name)
        if len(names) == 3:
            raise TransientError("COMMIT failed, for all that is known.")

    with patch.object(SpoolExecution, "record", fails_once):
        end = archive(database, tmp_path, "--batch-size", "100")
    assert (end["rows"], len(rows_in(tmp_path)), spools_in(tmp_path)) == (MATCHING, MATCHING, [])
    assert len({*names[:3]}) == 1
    assert names[3] != names[2]


@pytest.mark.in_turn
def test_a_batch_whose_connection_broke_in_its_midst_does_not_count(database: Database, tmp_path: Path) -> None:
    """It was rolled back before the ledger heard of it: what it had written to its spool is no row of the archive."""
    make(database)
    work, calls = SpoolExecution.work, [0]

    def breaks_once(own: SpoolExecution, connection: sa.Connection, batch: Batch) -> int:
        rows = work(own, connection, batch)
        calls[0] += 1
        if calls[0] == 3:
            raise ConnectionLostError("The connection broke.")
        return rows

    with patch.object(SpoolExecution, "work", breaks_once):
        end = archive(database, tmp_path, "--batch-size", "100")
    assert (end["rows"], max(rows_in(tmp_path).values()), spools_in(tmp_path)) == (MATCHING, 1, [])
