"""Rows go to a folder: what was deleted is what was written, in every format."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import batchops as library
from batchops.archive.inexact import InexactRow
from batchops.archive.lines import digest_of
from batchops.archive.parquet import Parquet
from batchops.archive.spool import SpoolWriter, frames
from batchops.db.exact_text import block_of
from batchops.errors import IntegrityError
from tests.bulk.archiving.archived import lines_in, rows_in, spools_in
from tests.command import Batchops, here
from tests.conftest import NewDatabase
from tests.crash.scenario import MATCHING, ROWS, make
from tests.services.database import Database
from tests.waiting import ended, until

WHERE = "kind < 4"
FULL = pytest.mark.full


@pytest.fixture
def filled(database: Database) -> Database:
    """Each database in turn."""
    make(database)
    return database


@pytest.fixture
def served(new_database: NewDatabase) -> Database:
    database = new_database("postgresql")
    make(database)
    return database


def archive(database: Database, folder: Path, *more: str, where: str = WHERE) -> Any:
    """The document of an archive that ended well."""
    done = here("archive", "t", "--url", database.url, "--where", where, "--to", f"{folder}/", "-y", "--json", *more)
    assert done.code == 0, done
    return done.json()


@pytest.mark.wide(4)
@pytest.mark.parametrize("format", ["parquet", "jsonl", "csv"])
def test_rows_are_in_files_and_no_longer_in_the_table(filled: Database, tmp_path: Path, format: str) -> None:
    end = archive(filled, tmp_path / "a", "--format", format, "--batch-size", "500")
    assert (end["rows"], end["segments"], end["unsealed"], end["to"]) == (MATCHING, 1, 0, str(tmp_path / "a"))
    found = rows_in(tmp_path / "a")
    assert (len(found), set(found.values())) == (MATCHING, {1})
    assert filled.scalar(f"SELECT count(*) FROM t WHERE {WHERE}") == 0
    assert filled.scalar("SELECT count(*) FROM t") == ROWS - MATCHING
    assert not spools_in(tmp_path / "a")
    files = [path for path in (tmp_path / "a" / "t").rglob("*") if path.is_file() and path.suffix != ".json"]
    assert end["bytes"] == sum(path.stat().st_size for path in files)
    verified = here("archive", "verify", tmp_path / "a")
    assert verified.code == 0, verified


@pytest.mark.full
@pytest.mark.parametrize("strategy", ["block", *(pytest.param(name, marks=FULL) for name in ("key", "match"))])
def test_each_strategy_with_several_workers_and_segments(served: Database, tmp_path: Path, strategy: str) -> None:
    more = ("--strategy", strategy, "--workers", "3", "--batch-size", "200", "--segment-size", "64KiB")
    served.execute("ALTER TABLE t ADD COLUMN text text DEFAULT repeat('x', 200)")
    end = archive(served, tmp_path, *more)
    assert (end["rows"], end["segments"] > 3) == (MATCHING, True)
    assert rows_in(tmp_path) == dict.fromkeys([str(i) for i in range(1, ROWS + 1) if i % 7 < 4], 1)
    listed = [json.loads(path.read_text()) for path in (tmp_path / "manifests").glob("*.json")]
    assert sum(len(table["segments"]) for one in listed for table in one["tables"]) == end["segments"]


@pytest.mark.full
@pytest.mark.parametrize("strategy", ["ids", *(pytest.param(name, marks=FULL) for name in ("key", "match", "list"))])
def test_each_way_to_find_rows_on_each_database(filled: Database, tmp_path: Path, strategy: str) -> None:
    if strategy == "ids":
        (tmp_path / "ids").write_text("\n".join(str(i) for i in range(1, ROWS + 1) if i % 7 < 4))
        rows = ("--ids", str(tmp_path / "ids"))
    else:
        rows = ("--where", WHERE, "--strategy", strategy)
    to = ("--to", f"{tmp_path}/a/", "-y", "--json", "--batch-size", "300")
    done = here("archive", "t", "--url", filled.url, *rows, *to)
    assert (done.code, done.json()["rows"]) == (0, MATCHING), done
    assert rows_in(tmp_path / "a") == dict.fromkeys([str(i) for i in range(1, ROWS + 1) if i % 7 < 4], 1)


@pytest.mark.full
def test_a_second_run_adds_to_the_same_folder(served: Database, tmp_path: Path) -> None:
    archive(served, tmp_path, "--max-rows", "100")
    end = archive(served, tmp_path)
    assert (end["rows"], sum(rows_in(tmp_path).values())) == (MATCHING - 100, MATCHING)
    assert here("archive", "verify", tmp_path).code == 0


@pytest.mark.full
def test_a_row_that_may_not_be_deleted_is_in_no_file(served: Database, tmp_path: Path) -> None:
    served.script("CREATE TABLE child (t integer REFERENCES t); INSERT INTO child VALUES (7), (700), (701)")
    more = ("--batch-size", "300", "--allow", "fk-index")
    done = here("archive", "t", "--url", served.url, "--where", WHERE, "--to", f"{tmp_path}/", "-y", "--json", *more)
    left = [row for row in (7, 700, 701) if row % 7 < 4]
    assert (done.code, done.json()["rows"]) == (3, MATCHING - len(left)), done
    assert served.column(f"SELECT id FROM t WHERE {WHERE} ORDER BY id") == left
    assert len(rows_in(tmp_path)) == MATCHING - len(left)


def test_a_value_that_a_file_cannot_hold_stays_in_the_table(served: Database, tmp_path: Path) -> None:
    served.execute("ALTER TABLE t ADD COLUMN at timestamp DEFAULT '2024-01-01'")
    served.execute("UPDATE t SET at = 'infinity' WHERE id IN (8, 9)")
    arguments = ("archive", "t", "--url", served.url, "--where", WHERE, "--to", f"{tmp_path}/", "-y", "--json")
    done = here(*arguments)
    assert (done.code, done.json()["rows"], done.json()["rejected"]) == (3, MATCHING - 2, 2), done
    assert served.column(f"SELECT id FROM t WHERE {WHERE} ORDER BY id") == [8, 9]
    assert "infinity" in done.json()["error"]["message"]


def test_a_row_that_is_refused_once_it_was_deleted_is_not_lost(filled: Database, tmp_path: Path) -> None:
    """MariaDB undoes a statement that fails; one that did not fail has to be undone by us."""
    refused = (b"7", b"700", b"701")

    def inexact(_: Parquet, block: bytes) -> list[InexactRow]:
        places = [place for place, line in enumerate(block.splitlines()) if line.split(b"\t")[0] in refused]
        return [InexactRow(place, "id", "it is not to be") for place in places]

    with patch.object(Parquet, "inexact", inexact):
        to = ("--where", WHERE, "--to", f"{tmp_path}/a/", "-y", "--json", "--batch-size", "300")
        done = here("archive", "t", "--url", filled.url, *to)
    assert (done.code, done.json()["rejected"]) == (3, 3), done
    assert filled.column(f"SELECT id FROM t WHERE {WHERE} ORDER BY id") == [7, 700, 701]
    assert sum(rows_in(tmp_path / "a").values()) == MATCHING - 3


def test_a_value_that_no_check_has_foreseen_is_kept_as_text(served: Database, tmp_path: Path) -> None:
    served.execute("ALTER TABLE t ADD COLUMN at timestamp DEFAULT '2024-01-01'")
    served.execute("UPDATE t SET at = 'infinity' WHERE id = 8")
    with patch.object(Parquet, "inexact", lambda *_: []):
        end = archive(served, tmp_path)
    assert (end["rows"], end["segments"], end["unsealed"]) == (MATCHING, 1, 0)
    assert [path.name for path in (tmp_path / "t").rglob("*.jsonl.zst")] == ["000001.jsonl.zst"]
    assert any(line.endswith(b"\tinfinity") for line in lines_in(tmp_path))
    assert here("archive", "verify", tmp_path).code == 0


def test_moments_are_the_same_in_every_zone(served: Database, tmp_path: Path) -> None:
    served.execute("ALTER TABLE t ADD COLUMN at timestamptz DEFAULT '2024-07-01 12:00:00+00'")
    served.execute("UPDATE t SET at = '2024-10-27 02:30:00.25+01' WHERE id = 1")
    served.execute(f"ALTER DATABASE \"{served.name}\" SET TimeZone = 'America/St_Johns'")
    archive(served, tmp_path, where="id < 4 AND at < '2024-12-01'")
    moments = [line.split(b"\t")[3] for line in lines_in(tmp_path)]
    assert moments == [b"2024-10-27 01:30:00.25+00", *[b"2024-07-01 12:00:00+00"] * 2]


@pytest.mark.full
def test_a_column_that_is_added_meanwhile_ends_the_run(served: Database, batchops: Batchops, tmp_path: Path) -> None:
    archive(served, tmp_path, "--max-rows", "100")
    process = batchops.start(
        "archive", "t", "--url", served.url, "--where", WHERE, "--to", f"{tmp_path}/", "-y", "--json",
        "--batch-size", "20", "--sleep", "50ms",
    )  # fmt: skip
    until(lambda: len(spools_in(tmp_path)) > 0, process)
    served.execute("ALTER TABLE t ADD COLUMN more integer")
    done = ended(process)
    assert (done.code, "changed while rows were archived: more" in done.out) == (13, True), done
    assert len(rows_in(tmp_path)) + served.scalar(f"SELECT count(*) FROM t WHERE {WHERE}") == MATCHING


def test_a_commit_waits_for_the_disk_where_the_server_lets_it_not(served: Database, tmp_path: Path) -> None:
    served.execute(f'ALTER DATABASE "{served.name}" SET synchronous_commit = off')
    seen = "INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL"
    served.script("CREATE TABLE seen (how text)")
    served.script(f"CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {seen}; END $$")
    served.script("CREATE TRIGGER looks AFTER DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION look()")
    archive(served, tmp_path, "--allow", "triggers")
    assert set(served.column("SELECT how FROM seen")) == {"on"}


class TestRefused:
    def refused(self, database: Database, to: str, *more: str, code: int = 12) -> str:
        arguments = ("archive", "t", "--url", database.url, "--where", WHERE, "--to", to, "-y", *more)
        done = here(*arguments)
        assert done.code == code, done
        assert database.scalar(f"SELECT count(*) FROM t WHERE {WHERE}") == MATCHING
        return done.err

    def test_a_folder_of_another_database(self, served: Database, new_database: NewDatabase, tmp_path: Path) -> None:
        other = new_database("postgresql")
        make(other)
        archive(other, tmp_path)
        assert "name another destination" in self.refused(served, f"{tmp_path}/")

    def test_what_is_no_folder(self, served: Database, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        assert "is no folder" in self.refused(served, f"{tmp_path}/file/", code=2)

    def test_a_ledger_elsewhere(self, served: Database, tmp_path: Path) -> None:
        assert "one commit" in self.refused(served, f"{tmp_path}/", "--ledger", str(tmp_path / "ledger.db"))

    def test_a_column_that_no_text_gives_back(self, served: Database, tmp_path: Path) -> None:
        served.execute("ALTER TABLE t ADD COLUMN what regclass")
        assert "what (regclass)" in self.refused(served, f"{tmp_path}/")

    def test_no_such_column(self, served: Database, tmp_path: Path) -> None:
        assert 'did you mean "touched"' in self.refused(served, f"{tmp_path}/", "--columns", "id,touchd", code=2)

    def test_format_of_a_table(self, served: Database) -> None:
        assert "is for files" in self.refused(served, "t_archive", "--format", "csv", code=2)


def test_a_run_without_another_strategy_opens_new_spools(postgresql: Database, tmp_path: Path) -> None:
    """Each row deleted reads the whole child table, and a list of ids is followed by one strategy alone."""
    postgresql.script("CREATE TABLE t (id integer PRIMARY KEY); CREATE TABLE k (t integer REFERENCES t (id))")
    postgresql.execute("INSERT INTO t SELECT generate_series(1, 400)")
    postgresql.execute("INSERT INTO k SELECT 1 FROM generate_series(1, 900)")
    (tmp_path / "ids").write_text("".join(f"{row}\n" for row in range(2, 401)))
    end = library.archive(
        url=postgresql.url, table="t", ids=tmp_path / "ids", to=f"{tmp_path / 'a'}/", batch_size=20, format="jsonl",
        allow="fk-index",
    )  # fmt: skip
    assert (end.reason, end.rows, postgresql.scalar("SELECT count(*) FROM t")) == ("done", 399, 1), end
    assert len(rows_in(tmp_path / "a")) == 399


class TestSpool:
    def test_what_lies_past_the_valid_length_is_not_read(self, tmp_path: Path) -> None:
        spool = SpoolWriter(tmp_path / "1.spool", {"run": 1})
        spool.length = spool.append(1, block_of([b"a", b"b"]), digest_of([b"a", b"b"]))
        spool.append(2, block_of([b"not committed"]), digest_of([b"not committed"]))
        spool.close()
        assert [frame.block for frame in frames(spool.path, spool.length)] == [b"a\nb\n"]

    def test_what_was_not_committed_is_written_over(self, tmp_path: Path) -> None:
        spool = SpoolWriter(tmp_path / "1.spool", {"run": 1})
        spool.append(1, block_of([b"not committed, and longer"]), digest_of([b"not committed, and longer"]))
        spool.length = spool.append(1, block_of([b"a"]), digest_of([b"a"]))
        assert [frame.block for frame in frames(spool.path, spool.length)] == [b"a\n"]
        spool.close()

    def test_damage_within_the_valid_length_is_an_error(self, tmp_path: Path) -> None:
        spool = SpoolWriter(tmp_path / "1.spool", {"run": 1})
        spool.length = spool.append(1, block_of([b"a", b"b"]), digest_of([b"a", b"b"]))
        spool.close()
        data = spool.path.read_bytes()
        spool.path.write_bytes(data[:-1] + b"c")
        with pytest.raises(IntegrityError):
            list(frames(spool.path, spool.length))

    def test_nobody_opens_a_spool_that_is_there(self, tmp_path: Path) -> None:
        SpoolWriter(tmp_path / "1.spool", {"run": 1}).close()
        with pytest.raises(FileExistsError):
            SpoolWriter(tmp_path / "1.spool", {"run": 1})


def test_without_pyarrow_text_is_compressed_by_python_itself(
    sqlite: Database, batchops: Batchops, tmp_path: Path
) -> None:
    make(sqlite)
    (tmp_path / "no").mkdir()
    (tmp_path / "no" / "sitecustomize.py").write_text("import sys; sys.modules['pyarrow'] = None")
    to = f"{tmp_path / 'a'}/"
    env = {"PYTHONPATH": str(tmp_path / "no")}
    args = ("archive", "t", "--url", sqlite.url, "--where", WHERE, "--to", to, "--format", "jsonl", "-y", "--json")
    done = batchops.apart(*args, env=env)
    assert done.code == 0, done
    assert (done.json()["rows"], done.json()["unsealed"]) == (MATCHING, 0)
    files = [path for path in (tmp_path / "a" / "t").rglob("*") if path.is_file() and path.suffix != ".json"]
    assert [path.suffix for path in files] == [".gz"]
    verified = batchops.apart("archive", "verify", tmp_path / "a", env=env)
    assert verified.code == 0, verified
