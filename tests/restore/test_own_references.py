"""Tables that refer to themselves: archived from their leaves on, restored from their roots on."""

import random
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

import batchops as library
from batchops.archive.records import ArchivedTable
from batchops.db.exact_columns import ExactColumn, ExactKind
from batchops.db.exact_text import line_of
from batchops.events import Throttled
from batchops.restore import parents_first
from batchops.restore.parents_first import OwnReference, ParentsFirst, Source
from batchops.runtime.stop import Stop
from tests.command import Batchops
from tests.restore.rows import archive_table, described
from tests.services.database import Database

ROWS = 600
ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n;"
COMMENTS = """
CREATE TABLE comments (
    id integer PRIMARY KEY, parent_id integer NULL, root_id integer NULL, body varchar(20),
    FOREIGN KEY (parent_id) REFERENCES comments (id), FOREIGN KEY (root_id) REFERENCES comments (id)
)
"""


def comments(database: Database, rows: int) -> None:
    """Threads, whose rows have numbers that tell nothing of their order; a few rows are roots of their own."""
    database.script(f"{COMMENTS}; CREATE INDEX a ON comments (parent_id); CREATE INDEX b ON comments (root_id);")
    chance = random.Random(3)
    made: list[tuple[int, int | None, int | None, str]] = []
    for at, number in enumerate(chance.sample(range(10 * rows), rows)):
        if at % 20 == 0:
            made.append((number, None, number if at % 40 else None, "a root"))
        else:
            parent = made[chance.randrange(max(0, at - 3), at)]
            made.append((number, parent[0], parent[2] or parent[0], f"below {parent[0]}"))
    database.insert("comments", ("id", "parent_id", "root_id", "body"), made)


def test_a_table_that_refers_to_itself_comes_back_in_many_batches(database: Database, tmp_path: Path) -> None:
    comments(database, 150)
    before = described(database, "comments")[1]
    options = {"url": database.url, "batch_size": 40}
    moved = library.archive(table="comments", where="id >= 0", to=f"{tmp_path}/", format="jsonl", **options)
    assert (moved.reason, moved.rows, moved.batches < 15) == ("done", 150, True)
    limited = library.restore(destination=tmp_path, max_rows=70, **options)
    assert (limited.reason, limited.rows, limited.rejected) == ("max-rows", 70, 0)
    done = library.restore(destination=tmp_path, **options)
    assert (done.reason, done.rows, done.rejected, done.run) == ("done", 150, 0, limited.run)
    assert described(database, "comments")[1] == before


@pytest.mark.in_turn
def test_an_empty_text_is_a_key_like_any_other(database: Database, tmp_path: Path) -> None:
    own = "FOREIGN KEY (parent) REFERENCES t (id)"
    database.script(f"CREATE TABLE t (id varchar(9) PRIMARY KEY, parent varchar(9), {own})")
    database.insert("t", ("id", "parent"), [("a", None), ("", "a"), ("b", "")])
    before = archive_table(database, "t", tmp_path)
    database.execute("UPDATE t SET parent = NULL")
    database.execute("DELETE FROM t")
    done = library.restore(destination=tmp_path, batch_size=1, url=database.url)
    assert (done.reason, done.rows, described(database, "t")[1]) == ("done", 3, before)


def test_a_run_keeps_its_order_when_the_key_is_dropped_meanwhile(postgresql: Database, tmp_path: Path) -> None:
    """A place in one order means nothing in another."""
    comments(postgresql, ROWS)
    before = archive_table(postgresql, "comments", tmp_path)
    postgresql.execute("DELETE FROM comments")
    limited = library.restore(destination=tmp_path, max_rows=250, batch_size=50, url=postgresql.url)
    postgresql.script(
        "ALTER TABLE comments DROP CONSTRAINT comments_parent_id_fkey, DROP CONSTRAINT comments_root_id_fkey"
    )
    done = library.restore(destination=tmp_path, url=postgresql.url)
    assert (limited.reason, done.reason, done.rows, done.run) == ("max-rows", "done", ROWS, limited.run)
    assert described(postgresql, "comments")[1] == before


def test_parents_of_a_later_run_come_before_children_of_an_earlier_one(sqlite: Database, tmp_path: Path) -> None:
    comments(sqlite, 150)
    before = described(sqlite, "comments")[1]
    leaf = "id NOT IN (SELECT parent_id FROM comments WHERE parent_id IS NOT NULL) AND parent_id IS NOT NULL"
    leaves = ", ".join(str(row) for row in sqlite.column(f"SELECT id FROM comments WHERE {leaf}"))
    options = {"to": f"{tmp_path}/", "format": "jsonl", "url": sqlite.url, "batch_size": 40}
    library.archive(table="comments", where=f"id IN ({leaves})", **options)
    library.archive(table="comments", where="body <> 'a root'", **options)
    done = library.restore(destination=tmp_path, batch_size=40, url=sqlite.url)
    assert (done.reason, done.rejected, done.rows) == ("done", 0, 150 - 8)
    assert described(sqlite, "comments")[1] == before


@pytest.mark.parametrize("stopped", [True, False])
def test_a_run_says_that_it_puts_rows_in_order(
    sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    """It takes as long as all rows take to be read, and can be stopped, paused and looked at meanwhile."""
    comments(sqlite, ROWS)
    before = archive_table(sqlite, "comments", tmp_path)
    sqlite.execute("DELETE FROM comments")
    said, waiting, stop, arrange = threading.Event(), list[str](), Stop(), ParentsFirst.arrange

    def slowly(self: ParentsFirst, blocks: Iterable[tuple[Source, list[bytes]]]) -> None:
        arrange(self, blocks)
        assert said.wait(30)

    def look(event: object) -> None:
        if isinstance(event, Throttled) and "put in order" in event.reason:
            with closing(sqlite3.connect(sqlite.url.removeprefix("sqlite:///"))) as ledger:
                waiting.extend(row[0] for row in ledger.execute("SELECT state FROM batchops_run"))
            stop.ask("stopped") if stopped else None
            said.set()

    monkeypatch.setattr(ParentsFirst, "arrange", slowly)
    if stopped:
        monkeypatch.setattr(parents_first, "_EDGES", ENDLESS)
    done = library.restore(destination=tmp_path, url=sqlite.url, on_event=look, stop=stop)
    assert set(waiting) == {"running"}
    assert (done.reason, done.rows) == (("stopped", 0) if stopped else ("done", ROWS)), done
    monkeypatch.undo()
    if stopped:
        assert library.restore(destination=tmp_path, url=sqlite.url).rows == ROWS
    assert described(sqlite, "comments")[1] == before


def test_the_plan_tells_the_order(sqlite: Database, tmp_path: Path, batchops: Batchops) -> None:
    comments(sqlite, ROWS)
    archive_table(sqlite, "comments", tmp_path)
    plan = batchops("restore", str(tmp_path), "--url", sqlite.url, "-n")
    assert "each row behind those that it refers to by" in plan.out
    without = batchops("restore", str(tmp_path), "--url", sqlite.url, "--into", "others", "-n")
    assert (without.code, "behind those" in without.out) == (0, False)


LOOSE = {
    "postgresql": (
        "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false);"
        "CREATE TABLE t (id text COLLATE loose PRIMARY KEY, p text COLLATE loose REFERENCES t (id), n numeric UNIQUE,"
        " m numeric REFERENCES t (n))",
        [("Éa", None), ("b", "EA"), ("Ç", "B"), ("d", "c"), ("É A", "D"), ("a x", "e a")],
    ),
    "mysql": (
        "CREATE TABLE t (id varchar(9) PRIMARY KEY, p varchar(9),"
        " n numeric(9, 3) UNIQUE, m numeric(9, 3), FOREIGN KEY (p) REFERENCES t (id), FOREIGN KEY (m)"
        " REFERENCES t (n)) COLLATE utf8mb4_general_ci",
        [("Éa", None), ("b", "EA  "), ("Ç", "B"), ("ß", "c "), ("É A", "S"), ("a x", "e a")],
    ),
    "sqlite": (
        "CREATE TABLE t (id text COLLATE NOCASE PRIMARY KEY, p text REFERENCES t (id), n UNIQUE,"
        " m real REFERENCES t (n))",
        [("Éa", None), ("b", "ÉA"), ("C", "B"), ("d", "c"), ("É A", "D"), ("a x", "É a")],
    ),
}
"""A table whose columns hold some different texts for equal, and rows with references by such texts, parents first."""


def test_references_are_compared_as_the_columns_compare_them(database: Database, tmp_path: Path) -> None:
    """By case, accents and blanks as the collation says, and numbers by value."""
    table, rows = LOOSE[database.backend]
    database.script(table)
    for n, (key, parent) in enumerate(rows):
        database.insert("t", ("id", "p", "n"), [(key, parent, n)])
    rows = [*rows, ("a 0", None)]
    number = {"postgresql": f"{len(rows) - 2}.00", "mysql": len(rows) - 2, "sqlite": float(len(rows) - 2)}
    database.execute(f"INSERT INTO t VALUES ('a 0', NULL, NULL, {number[database.backend]})")
    before = archive_table(database, "t", tmp_path)
    for key, _ in reversed(rows):
        database.execute("DELETE FROM t WHERE id = :id", id=key)
    done = library.restore(destination=tmp_path, batch_size=1, url=database.url)
    assert (done.reason, done.rejected, done.rows) == ("done", 0, len(rows)), done
    assert described(database, "t")[1] == before


def ordered(rows: list[tuple[str, ...]], references: list[OwnReference], behind: int = 0) -> list[str]:
    """The first column of rows, NULL written as an empty text, in their order."""
    names = ("id", "parent", "other")
    table = ArchivedTable("t", tuple(ExactColumn(name, "text", ExactKind.TEXT) for name in names), ("id",), "sqlite")
    lines = [line_of([value.encode() or None for value in row]) for row in rows]
    with closing(ParentsFirst(references, lambda: False)) as arranged:
        arranged.arrange((Source(table, False), lines[at : at + 2]) for at in range(0, len(lines), 2))
        return [line.split(b"\t")[0].decode() for block in arranged.rows(behind) for line in block.lines]


PARENT, OTHER = OwnReference(("parent",), ("id",)), OwnReference(("other",), ("id",))


@pytest.mark.parametrize(
    ("rows", "references", "expected"),
    [
        ([("c", "b", ""), ("b", "a", ""), ("a", "", "")], [PARENT], "abc"),
        ([("c", "gone", ""), ("b", "c", ""), ("a", "a", "")], [PARENT], "cab"),
        ([("c", "b", "a"), ("a", "", ""), ("b", "", "d"), ("d", "a", "")], [PARENT, OTHER], "adbc"),
        ([("c", "a", ""), ("a", "b", ""), ("b", "a", ""), ("d", "", "")], [PARENT], "dbac"),
    ],
    ids=["a line", "to what is not archived and to itself", "two references", "a circle last"],
)
def test_parents_come_first(rows: list[tuple[str, ...]], references: list[OwnReference], expected: str) -> None:
    assert "".join(ordered(rows, references)) == expected
    assert "".join(ordered(rows, references, behind=2)) == expected[2:]


def test_two_columns_make_one_reference() -> None:
    pair = OwnReference(("parent", "other"), ("id", "other"))
    rows = [("c", "a", "x"), ("b", "a", "y"), ("a", "", "x"), ("d", "a", "")]
    assert "".join(ordered(rows, [pair])) == "badc"
