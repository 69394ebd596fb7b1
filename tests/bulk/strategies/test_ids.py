"""Lists of ids: rows by the keys that a file holds, each once, whatever their number, type and spelling."""

import csv
import io
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

import batchops as library
from batchops.db.value_formats import as_text
from batchops.errors import UsageError
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.databases.numbered import Job, numbered
from tests.databases.shapes import COMPOSITE, KEYS
from tests.databases.shapes.shape import MARIA, PG, Made, Shape, make, quoted, spelled
from tests.services.database import Database
from tests.waiting import until

pytestmark = pytest.mark.in_turn

UP = ["n = n + 1"]
AMBIGUOUS = ("any type in one column", "blob in a tree of its own", "decimal that holds anything")
"""SQLite columns in which a number, a text and bytes read alike."""
SHAPES = [
    pytest.param(shape, on, id=f"{shape.name}-{on}", marks=() if shape.quick and number % 5 == 0 else pytest.mark.full)
    for number, shape in enumerate((*KEYS, *COMPOSITE)) if shape.key and shape.name not in AMBIGUOUS
    for on in shape.databases
]  # fmt: skip
_BYTES = ("BINARY", "VARBINARY", "BLOB", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB")


@pytest.fixture
def table(database: Database) -> Database:
    """A thousand rows that count how often each was changed."""
    numbered(database, 1000, n=("integer", "0"), half=("integer", "i % 2"))
    return database


def lines(folder: Path, *ids: object) -> Path:
    path = folder / "ids.txt"
    path.write_text("".join(f"{one}\n" for one in ids))
    return path


def kill_at_work(process: "subprocess.Popen[str]", table: Database) -> None:
    """Once it has committed something."""
    before = counts(table).get(1, 0)
    until(lambda: counts(table).get(1, 0) > before or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.wait()


def counts(database: Database) -> dict[int, int]:
    return {int(n): int(rows) for n, rows in database.rows("SELECT n, count(*) FROM t GROUP BY n")}


def exported(made: Made, shape: Shape, database: Database) -> str:
    """The keys of the rows that match, as the database writes them; each twice, and a column beside them."""
    names = [f"CAST({quoted(name, made.on)} AS {'text' if made.on == PG else 'char'})" for name in made.key]
    if made.on == MARIA:
        names = [
            f"HEX({quoted(name, made.on)})"
            if spelled(shape.columns[name], made.on).split("(")[0].upper() in _BYTES
            else cast
            for name, cast in zip(made.key, names, strict=True)
        ]
    elif made.on != PG:
        names = [quoted(name, made.on) for name in made.key]
    query = f"SELECT {', '.join(names)} FROM {made.path} WHERE {spelled(shape.where, made.on)}"
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["beside", *made.key])
    for row in (rows := [[as_text(value) for value in row] for row in database.rows(query)]) + rows:
        writer.writerow(["x, y", *row])
    return text.getvalue()


@pytest.mark.wide(2)
@pytest.mark.parametrize(("shape", "on"), SHAPES)
def test_every_shape_of_key(new_database: NewDatabase, tmp_path: Path, shape: Shape, on: str) -> None:
    """Ids as the database itself writes them change the rows that one plain statement does."""
    database = new_database(on)
    ours, plain = make(shape, database)
    (file := tmp_path / "ids.csv").write_text(exported(ours, shape, database))
    plain.plainly("backfill")
    done = library.backfill(
        url=database.url, table=ours.path, ids=file, set=[spelled(one, on) for one in shape.assignments],
        key=shape.asked_key, batch_size=7,
    )  # fmt: skip
    assert done.reason == "done"
    assert done.listed is not None
    assert done.listed.not_there == 0
    assert ours.content() == plain.content()


@pytest.mark.parametrize("verb", ["purge", "backfill"])
def test_duplicates_and_ids_that_are_not_there(table: Database, tmp_path: Path, verb: str) -> None:
    file = lines(tmp_path, *range(1, 301), *range(100, 200), " 7", "007", "", 5000, 5000, -3)
    done = Job(table, verb, ids=file, batch_size=40, **({"set": UP} if verb == "backfill" else {}))()
    assert (done.reason, done.exit, done.rows) == ("done", 0, 300)
    assert done.listed is not None
    assert done.listed.not_there == 2
    assert counts(table) == ({0: 700} if verb == "purge" else {0: 700, 1: 300})


def test_spellings_that_the_server_takes_for_one(new_database: NewDatabase, tmp_path: Path) -> None:
    """A column that knows no case: each row once, under the letters that it has."""
    for on, type in ((MARIA, "varchar(9)"), (PG, "uuid"), ("sqlite", "text COLLATE NOCASE NOT NULL")):
        database = new_database(on)
        names = [f"{i:08}-aaaa-4aaa-8aaa-00000000000a" if on == PG else f"a{i}" for i in range(20)]
        database.script(f"CREATE TABLE t (id {type} PRIMARY KEY, n integer NOT NULL)")
        database.insert("t", ("id", "n"), [(name, 0) for name in names])
        file = lines(tmp_path, *names[:10], *(name.upper() for name in names[5:15]))
        done = Job(database, "backfill", ids=file, set=UP, batch_size=3)()
        assert (done.rows, done.listed and done.listed.not_there) == (15, 0), on
        assert counts(database) == {0: 5, 1: 15}


def test_binary_keys_by_their_uuid(new_database: NewDatabase, tmp_path: Path) -> None:
    """With its dashes, as it is shown everywhere but in the column; what is no bytes at all is refused by name."""
    uuids = ["550e8400-e29b-41d4-a716-446655440000", "550E8400-E29B-41D4-A716-446655440001"]
    for on, type in (
        (MARIA, "binary(16)"),
        (PG, "bytea"),
        ("sqlite", "blob NOT NULL"),
        ("sqlite", "binary(16) NOT NULL"),
    ):
        database = new_database(on)
        hexadecimal = "decode('{}', 'hex')" if on == PG else "X'{}'"
        database.script(f"CREATE TABLE t (id {type} PRIMARY KEY, n integer NOT NULL)")
        for uuid in (*uuids, "550e8400-e29b-41d4-a716-446655440002"):
            database.execute(f"INSERT INTO t VALUES ({hexadecimal.format(uuid.replace('-', ''))}, 0)")
        finished = library.backfill(url=database.url, table="t", ids=str(lines(tmp_path, *uuids)), set=UP)
        assert (finished.reason, finished.rows) == ("done", 2), (on, type)
        assert counts(database) == {0: 1, 1: 2}
        if on == MARIA:
            with pytest.raises(UsageError, match="line 1") as caught:
                library.backfill(url=database.url, table="t", ids=str(lines(tmp_path, "x-y")), set=UP)
            assert "hexadecimal" in caught.value.hint


def test_binary_keys_by_their_hexadecimal_digits(new_database: NewDatabase, tmp_path: Path) -> None:
    """As clients show them: 0x00FF, 00ff; PostgreSQL by itself \\x00ff."""
    for on, type in ((MARIA, "binary(2)"), (PG, "bytea"), ("sqlite", "blob NOT NULL")):
        database = new_database(on)
        database.script(f"CREATE TABLE t (id {type} PRIMARY KEY, n integer NOT NULL)")
        database.insert("t", ("id", "n"), [(i.to_bytes(2, "big"), 0) for i in range(256)])
        texts = ("\\x0001", "\\x00FF") if on == PG else ("0x0001", "0x00FF", "00aa ")
        done = Job(database, "backfill", ids=lines(tmp_path, *texts), set=UP)()
        assert (done.rows, done.listed and done.listed.not_there) == (len(texts), 0), on


def test_a_condition_holds_too(table: Database, tmp_path: Path) -> None:
    done = Job(table, "purge", ids=lines(tmp_path, *range(1, 101)), where="half = 1")()
    assert done.rows == 50
    assert table.scalar("SELECT count(*) FROM t WHERE half = 1 AND id <= 100") == 0
    assert table.scalar("SELECT count(*) FROM t") == 950


@pytest.mark.wide(4)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\n2\nabc\n4\n", "line 3: "),
        ("1\n2\n12abc\n", "line 3: "),
        ("1\n1.5\n", "line 2: "),
        ("1\n99999999999999999999\n", "line 2: "),
        ("name,mail\n1,2\n", 'line 1: the header names no column "id"'),
        ("x,id\n1,2\n3\n", "line 3: there are fewer fields than in the header"),
        ("x,id\n1,2\n3,\n", "line 3: "),
        ('x,id\n1,2\n"3,4\n', "line 3: "),
        ("id\n7\nseven\n", "line 3: "),
    ],
)
def test_a_line_that_is_none(table: Database, tmp_path: Path, text: str, said: str) -> None:
    (file := tmp_path / "ids.csv").write_text(text)
    with pytest.raises(UsageError) as refused:
        Job(table, "purge", ids=file)()
    assert f"ids.csv, {said}" in refused.value.message
    assert counts(table) == {0: 1000}


def test_a_value_too_long_is_not_cut_to_another(database: Database, tmp_path: Path) -> None:
    """Nor is a number rounded: such ids name no row."""
    database.script("CREATE TABLE t (id varchar(3), price numeric(10,2), n integer NOT NULL, PRIMARY KEY (id, price))")
    database.execute("INSERT INTO t VALUES ('abc', 1.01, 0), ('b', 2, 0)")
    (file := tmp_path / "ids.csv").write_text("PRICE;ID\n1.01;abcd\n1.005;abc\n1.014;abc\n2;b\n")
    done = Job(database, "purge", ids=file)()
    assert (done.rows, done.listed and done.listed.not_there) == (1, 3)
    assert database.column("SELECT id FROM t") == ["abc"]


@pytest.mark.full
def test_killed_and_gone_on_with(table: Database, batchops: Batchops, tmp_path: Path) -> None:
    """Each row once; the same file goes on with the run, another one is another job."""
    ids = lines(tmp_path, *range(1, 601), 4000)
    words = (
        "backfill",
        "t",
        "--ids",
        str(ids),
        "--set",
        UP[0],
        "--url",
        table.url,
        "-y",
        "--json",
        "--batch-size",
        "10",
    )
    for _ in range(2):
        kill_at_work(batchops.start(*words, "--sleep", "50ms"), table)
    assert 0 < counts(table)[1] < 600
    done = batchops(*words).json()
    assert (done["run"], done["reason"], done["rows"]) == (1, "done", 600)
    assert done["listed"] == {"ids": 601, "not_there": 1}
    assert counts(table) == {0: 400, 1: 600}
    assert batchops(*words).json()["reason"] == "already-done"
    lines(tmp_path, *range(1, 11))
    assert batchops(*words).json()["rows"] == 10
    assert counts(table) == {0: 400, 1: 590, 2: 10}


def test_a_limit_and_the_rest(table: Database, tmp_path: Path) -> None:
    for verb, more in (("backfill", {"set": UP}), ("purge", {})):
        job = Job(table, verb, ids=lines(tmp_path, *range(1, 101)), batch_size=9, **more)
        assert (job(max_rows=40).rows, job(max_rows=40).reason) == (40, "max-rows")
        assert job().reason == "done"
        assert counts(table) == ({0: 900, 1: 100} if verb == "backfill" else {0: 900})


@pytest.mark.parametrize("rows", [25_000, pytest.param(100_000, marks=pytest.mark.full)])
def test_many_ids_by_several_workers(database: Database, tmp_path: Path, rows: int) -> None:
    """Twice as many lines, half of which are there; a row once, whoever changes it."""
    numbered(database, rows, n=("integer", "0"))
    job = Job(database, "backfill", ids=lines(tmp_path, *range(2 * rows, 0, -1)), set=UP, workers=3)
    done = job()
    assert (done.reason, done.rows) == ("done", rows)
    assert counts(database) == {1: rows}


def test_rows_that_are_locked_or_refused_are_come_back_to(database: Database, tmp_path: Path) -> None:
    """A row that others refer to is passed by and named; the next run takes it up."""
    engine = "ENGINE=InnoDB" if database.backend == "mysql" else ""
    numbered(database, 100, n=("integer", "0"))
    database.script(
        f"CREATE TABLE c (id integer PRIMARY KEY, t integer NOT NULL, FOREIGN KEY (t) REFERENCES t (id)) {engine}"
    )
    database.script("CREATE INDEX c_t ON c (t)")
    database.script("INSERT INTO c VALUES (1, 7), (2, 50)")
    job = Job(database, "purge", ids=lines(tmp_path, *range(1, 61)), batch_size=10)
    done = job()
    assert (done.exit, done.rows, done.rejected) == (3, 58, 2)
    database.script("DELETE FROM c")
    assert (job().exit, counts(database)) == (0, {0: 40})


def test_nothing_listed_is_nothing_done(table: Database, batchops: Batchops) -> None:
    """An empty file, a header alone; from stdin, which then answers no question."""
    words: tuple[Any, ...] = ("purge", "t", "--ids", "-", "--url", table.url)
    for text in ("", "\n\n", "id,x\n"):
        result = batchops(*words, "-y", stdin=text)
        assert (result.code, "holds no ids" in result.err) == (0, True), result
    assert counts(table) == {0: 1000}
    refused = batchops(*words, stdin="1\n")
    assert (refused.code, "use -y" in refused.err) == (2, True)
    assert batchops(*words, "-y", "--json", stdin="\ufeffid\r\n5\r\n6\r\n").json()["rows"] == 2
    plan = batchops(*words, "-n", stdin="7\n8\n2000\n").out
    assert "3 ids in stdin" in plan


def test_flags_that_exclude_a_list(batchops: Batchops, tmp_path: Path, sqlite: Database) -> None:
    file = lines(tmp_path, 1)
    for more in (("--all-rows",), ("--strategy", "key"), ("--drop-partitions",)):
        assert batchops("purge", "t", "--ids", file, *more, "-y", "--url", sqlite.url).code == 2
    numbered(sqlite, 1)
    for path, why in ((tmp_path, "directory"), (tmp_path / "gone", "No such file")):
        result = batchops("purge", "t", "--ids", path, "-y", "--url", sqlite.url)
        assert (result.code, why in result.err) == (2, True), result


def test_in_a_recipe(table: Database, batchops: Batchops) -> None:
    (batchops.home / "gone.txt").write_text("1\n2\n3\n")
    (batchops.home / "gone.toml").write_text(
        '[params.file]\ntype = "text"\n[job.gone]\nverb = "purge"\ntable = "t"\nids = { param = "file" }\n'
    )
    result = batchops("run", "gone.toml", "--param", "file=gone.txt", "-y", "--json", env={"BATCHOPS_URL": table.url})
    assert result.json()["jobs"][0]["rows"] == 3, result


def test_rows_to_be_visited_again_count_as_left(sqlite: Database, tmp_path: Path) -> None:
    """A limit ends the run while the children of the first listed row are deleted."""
    sqlite.script("CREATE TABLE p (id integer PRIMARY KEY); CREATE TABLE c (p integer REFERENCES p (id))")
    sqlite.script("INSERT INTO p VALUES (1), (2), (3); INSERT INTO c SELECT 1 FROM p, p AS b, p AS d")
    rows = {"table": "p", "ids": lines(tmp_path, 1, 2), "with_children": True, "allow": "fk-index", "count": True}
    end = library.purge(url=sqlite.url, batch_size=5, max_batches=1, **rows)  # type: ignore[typeddict-item]
    assert (end.reason, end.rows, end.left) == ("max-batches", 0, 2), end
