"""A condition or value that reads the table which the job changes: as in one statement, or refused."""

import re
from pathlib import Path
from typing import Any

import pytest

import batchops as library
from batchops.bulk.plan import list_bytes
from batchops.errors import RefusedError
from tests.bulk.plan.situations import ALL, numbers
from tests.command import Batchops
from tests.conftest import NewDatabase
from tests.services import mariadb
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

ROWS = 900
FIXED = {
    "older than the newest": "created_at < (SELECT max(created_at) FROM posts) - 600",
    "the lowest hundred": "id <= (SELECT min(id) FROM posts) + 99",
    "below the average": "score < (SELECT avg(score) FROM posts)",
    "keep the newest": "id < (SELECT min(id) FROM (SELECT id FROM posts ORDER BY id DESC LIMIT 250) AS newest)",
    "while there are drafts": "score > 30 AND EXISTS (SELECT 1 FROM posts AS p WHERE p.status = 'draft')",
    "through a view": "id < (SELECT min(id) + 100 FROM published)",
    "inside a list": "author IN (SELECT a.id FROM authors AS a WHERE a.posts < (SELECT max(score) FROM posts))",
    "text": "title <= (SELECT min(title) FROM posts WHERE title > 'title 3')",
}
"""Sub-selects that stand for one value: evaluated once, at the start."""
LISTED = {
    "nobody replies to it": "NOT EXISTS (SELECT 1 FROM posts AS r WHERE r.reply_to = posts.id)",
    "every one that has a double": "EXISTS (SELECT 1 FROM posts AS b WHERE b.title = posts.title AND b.id <> posts.id)",
    "all but the newest of each": "id NOT IN (SELECT max(id) FROM posts GROUP BY author)",
    "a list by rank": "id IN (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY author ORDER BY id) AS n"
    " FROM posts) AS ranked WHERE n > 5)",
    "by a view": "reply_to IN (SELECT id FROM published)",
    "by a common table expression": "id IN (WITH old AS (SELECT id FROM posts WHERE score < 9) SELECT id FROM old)",
    "by one that is grouped": "author IN (WITH busy AS (SELECT author FROM posts GROUP BY author HAVING count(*) > 99)"
    " SELECT author FROM busy)",
    "by a view of one": "author IN (SELECT author FROM busy)",
    "by rows that go with it": "EXISTS (SELECT 1 FROM likes WHERE likes.author = posts.author)",
}
"""What else reads the table: evaluated once too, into a list of the rows."""


@pytest.fixture(params=ALL)
def forum(request: pytest.FixtureRequest, new_database: NewDatabase) -> Database:
    """Posts that reply to each other, each title twice, and likes that go with their post."""
    database = new_database(request.param)
    when = "score integer NOT NULL, created_at integer NOT NULL, status varchar(20) NOT NULL"
    database.script(
        "CREATE TABLE authors (id integer NOT NULL PRIMARY KEY, posts integer NOT NULL);"
        f"CREATE TABLE posts (id integer NOT NULL PRIMARY KEY, author integer NOT NULL, reply_to integer,"
        f" title varchar(40) NOT NULL, {when});"
        "CREATE TABLE likes (id integer NOT NULL PRIMARY KEY, author integer NOT NULL, post integer NOT NULL,"
        " FOREIGN KEY (post) REFERENCES posts (id) ON DELETE CASCADE);"
        "CREATE INDEX likes_post ON likes (post);"
        "CREATE VIEW published AS SELECT id FROM posts WHERE status <> 'draft';"
        "CREATE VIEW busy AS WITH many AS (SELECT author FROM posts GROUP BY author HAVING count(*) > 99)"
        " SELECT author FROM many;"
    )
    database.execute(f"INSERT INTO authors SELECT i, i FROM {numbers(database, 7)}")
    title = {"mysql": "concat('title ', i % 450)"}.get(database.backend, "'title ' || (i % 450)")
    status = "CASE WHEN i % 3 = 0 THEN 'draft' ELSE 'published' END"
    reply = "CASE WHEN i <= 450 THEN i + 450 END"
    database.execute(
        f"INSERT INTO posts SELECT i, i % 7, {reply}, {title}, i % 50, i * 2, {status} FROM {numbers(database, ROWS)}"
    )
    database.execute(f"INSERT INTO likes SELECT i, i % 3, i FROM {numbers(database, ROWS)}")
    return database


def ends(database: Database, where: str, *, most: int, limits: int) -> None:
    """One command with --max-rows, again and again, deletes in the end what one statement deletes."""
    wanted = database.column(f"SELECT id FROM posts WHERE NOT ({where}) ORDER BY id")
    assert 0 < len(wanted) < ROWS
    runs = [library.purge(**job(database, where), max_rows=most) for _ in range(limits)]
    assert {(run.reason, run.run) for run in runs} == {("max-rows", runs[0].run)}
    last = library.purge(**job(database, where))
    assert (last.reason, last.run, last.cutoff) == ("done", runs[0].run, runs[0].cutoff)
    assert database.column("SELECT id FROM posts ORDER BY id") == wanted


def job(database: Database, where: str) -> dict[str, Any]:
    return {"url": database.url, "table": "posts", "where": where, "batch_size": 20, "allow": ["cascades", "scan"]}


@pytest.mark.wide(2)
@pytest.mark.parametrize("name", FIXED)
def test_one_value_is_evaluated_once(forum: Database, name: str) -> None:
    """More batches than one delete exactly what one statement deletes."""
    wanted = forum.scalar(f"SELECT count(*) FROM posts WHERE NOT ({FIXED[name]})")
    assert 0 < wanted < ROWS
    assert library.purge(**job(forum, FIXED[name])).reason == "done"
    assert forum.scalar("SELECT count(*) FROM posts") == wanted


KEPT = [
    "the lowest hundred",
    *(pytest.param(name, marks=pytest.mark.full) for name in ("below the average", "through a view", "inside a list")),
]


@pytest.mark.parametrize("name", KEPT)
def test_a_limit_lets_no_value_of_the_table_be_read_anew(forum: Database, name: str) -> None:
    ends(forum, FIXED[name], most=37, limits=2)


@pytest.mark.full
def test_a_limit_keeps_what_was_read_from_rows_that_go_with_it(forum: Database) -> None:
    ends(forum, "id <= (SELECT min(post) FROM likes) + 199", most=60, limits=2)


@pytest.mark.full
def test_the_plan_tells_of_values_that_are_kept(forum: Database, batchops: Batchops) -> None:
    """Until the run is done, or --restart is said; what reads other tables alone is read anew."""
    where = FIXED["the lowest hundred"]
    first = library.purge(**job(forum, where), max_rows=37)
    assert 'keeps the values that it read from "posts" at its start' in resume_of(batchops, forum, where)
    anew = library.purge(**job(forum, where), max_rows=37, restart=True)
    assert anew.run != first.run
    library.purge(**job(forum, where))
    assert library.purge(**job(forum, where), max_rows=37).run not in (first.run, anew.run)
    other = "author < (SELECT max(id) FROM authors)"
    library.purge(**job(forum, other), max_rows=37)
    assert "then continues from the start up to that point" in resume_of(batchops, forum, other)


def resume_of(batchops: Batchops, database: Database, where: str) -> str:
    """The plan's line of how it goes on."""
    allowed = ("--allow", "cascades", "--allow", "scan", "--batch-size", "20")
    plan = batchops("purge", "posts", "--where", where, *allowed, "--url", database.url, "--dry-run", "--json")
    return str(plan.json()["plan"]["resume"])


@pytest.mark.wide(2)
@pytest.mark.parametrize("name", LISTED)
def test_what_changes_with_each_batch_is_listed_once(forum: Database, name: str) -> None:
    gone = set(forum.column(f"SELECT id FROM posts WHERE {LISTED[name]}"))
    wanted = [number for number in forum.column("SELECT id FROM posts ORDER BY id") if number not in gone]
    done = library.purge(**job(forum, LISTED[name]))
    assert (done.reason, done.strategy, done.rows, done.left) == ("done", "list", len(gone), None)
    assert forum.column("SELECT id FROM posts ORDER BY id") == wanted


def test_a_long_list_is_refused_by_its_size(forum: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the estimate, before anything is written; `--allow` makes the list all the same."""
    monkeypatch.setattr(list_bytes, "MOST", 1_000)
    options = job(forum, LISTED["all but the newest of each"])
    with pytest.raises(RefusedError, match=r"The list of .* rows takes about") as caught:
        library.purge(**options)
    assert "--allow list-size" in caught.value.hint
    assert library.purge(**options | {"allow": [*options["allow"], "list-size"]}).rows == ROWS - 7
    assert forum.scalar("SELECT count(*) FROM posts") == 7


@pytest.mark.parametrize(
    ("name", "options", "way_out"),
    [
        ("nobody replies to it", {"ledger": "none"}, "keep the ledger in the database itself"),
        pytest.param("by a view", {"strategy": "key"}, "leave --strategy out", marks=pytest.mark.full),
        pytest.param("by a view", {"ids": True}, "copy the keys first", marks=pytest.mark.full),
    ],
)
def test_what_cannot_be_listed_is_refused(
    forum: Database, tmp_path: Path, name: str, options: dict[str, Any], way_out: str
) -> None:  # fmt: skip
    if "ids" in options:
        (tmp_path / "ids").write_text("1\n2\n")
        options = {"ids": tmp_path / "ids"}
    with pytest.raises(RefusedError) as caught:
        library.purge(**job(forum, LISTED[name]), **options)
    assert "each batch would find other rows" in caught.value.message
    assert way_out in caught.value.hint
    assert "--allow own-table" in caught.value.hint
    assert forum.scalar("SELECT count(*) FROM posts") == ROWS


def test_a_value_of_the_whole_table_is_the_same_for_every_row(forum: Database) -> None:
    forum.execute("UPDATE posts SET score = score + 5")
    total = forum.scalar("SELECT sum(score) FROM posts")
    value = "score = score - (SELECT min(score) FROM posts)"
    library.backfill(url=forum.url, table="posts", all_rows=True, set=[value], batch_size=50)
    assert forum.scalar("SELECT sum(score) FROM posts") == total - 5 * ROWS


def test_a_backfill_may_read_other_columns_of_its_table(forum: Database) -> None:
    """A count of replies reads nothing that is set; the score of the post above is set while it is read."""
    replies = "score = (SELECT count(*) FROM posts AS r WHERE r.reply_to = posts.id)"
    options = {"url": forum.url, "table": "posts", "all_rows": True, "batch_size": 100, "allow": ["scan"]}
    library.backfill(**options, set=[replies])
    assert forum.scalar("SELECT sum(score) FROM posts WHERE id > 450") == 450
    above = "score = coalesce((SELECT a.score FROM posts AS a WHERE a.id = posts.reply_to), 0) + 1"
    with pytest.raises(RefusedError, match="each batch would find other rows") as caught:
        library.backfill(**options, set=[above], strategy="key")
    wanted = forum.rows(f"SELECT id, {above.removeprefix('score = ')} FROM posts ORDER BY id")
    # What the hint says, word by word.
    said = re.search(r"\((CREATE TABLE .*); (CREATE UNIQUE INDEX .*)\) and use --set '(.*)' \(", caught.value.hint)
    assert said, caught.value.hint
    forum.execute(said[1].replace("…", above.removeprefix("score = ")))
    forum.execute(said[2])
    library.backfill(**options, set=[said[3]])
    assert forum.rows("SELECT id, score FROM posts ORDER BY id") == wanted


@pytest.mark.full
def test_names_that_fold_and_stand_in_double_quotes() -> None:
    """MariaDB on macOS and Windows, and with ANSI_QUOTES: both are the server's own settings."""
    server = mariadb.private()
    server.argv = [*server.argv, "--lower-case-table-names=1", "--sql-mode=ANSI_QUOTES,STRICT_TRANS_TABLES"]
    at = server.start()
    try:
        mariadb.create(at, "Folded")
        database = Database(mariadb, at, "folded")
        database.script("CREATE TABLE posts (id integer NOT NULL PRIMARY KEY, author integer NOT NULL)")
        database.execute(f"INSERT INTO posts SELECT i, i % 7 FROM {numbers(database, ROWS)}")
        grouped = (
            "author IN (WITH busy AS (SELECT author FROM {} GROUP BY author HAVING count(*) > 99) SELECT * FROM busy)"
        )
        names = ("POSTS", '"posts"', '"Posts"', "Folded.POSTS", '"folded" . "POSTS"', "`Posts`")
        wheres = [grouped.format(name) for name in names]
        wheres += [f"NOT EXISTS (SELECT 1 FROM {name} AS r WHERE r.author = posts.id)" for name in names]
        for where in wheres:
            with pytest.raises(RefusedError, match="each batch would find other rows"):
                library.purge(url=database.url, table="Posts", where=where, allow=["scan"], strategy="key")
        value = 'author = (SELECT max(o."author") FROM "POSTS" AS o WHERE o."id" < posts."id")'
        with pytest.raises(RefusedError, match="each batch would find other rows"):
            library.backfill(
                url=database.url, table="posts", all_rows=True, set=[value], allow=["scan"], strategy="key"
            )
        kept = "author < 3 AND '\" FROM posts' <> 'x'"
        assert library.purge(url=database.url, table="posts", where=kept).reason == "done"
    finally:
        server.stop()


@pytest.mark.parametrize("family", ["postgresql", "mariadb"])
def test_a_function_that_reads_the_table_is_refused(new_database: NewDatabase, family: str) -> None:
    """By its source, also where another function calls it."""
    database = new_database(family)
    database.script("CREATE TABLE posts (id integer NOT NULL PRIMARY KEY, score integer NOT NULL)")
    database.execute(f"INSERT INTO posts SELECT i, i % 50 FROM {numbers(database, ROWS)}")
    how = {
        "postgresql": "CREATE FUNCTION {0}(i integer) RETURNS bigint LANGUAGE plpgsql STABLE AS"
        " 'BEGIN RETURN {1}; END'",
        "mysql": "CREATE FUNCTION {0}(i integer) RETURNS bigint READS SQL DATA RETURN {1}",
    }[database.backend]
    database.execute(how.format("like_it", "(SELECT count(*) FROM posts WHERE score = i)"))
    database.execute(how.format("many", "like_it(i) + 1"))
    database.execute(how.format("other", "i + 1"))
    with pytest.raises(RefusedError, match="each batch would find other rows"):
        library.purge(url=database.url, table="posts", where="many(score) > 3", allow=["scan"], strategy="key")
    assert library.purge(url=database.url, table="posts", where="other(score) > 40", allow=["scan"]).reason == "done"


@pytest.mark.wide(2)
def test_rows_left_out_by_batchops_itself_are_no_condition_of_the_user(database: Database, tmp_path: Path) -> None:
    """A ticket keeps its customer and loses its owner: its condition was said to read the tickets."""
    database.script("""
        CREATE TABLE users (id integer NOT NULL PRIMARY KEY, active integer NOT NULL);
        CREATE TABLE tickets (id integer NOT NULL PRIMARY KEY, customer integer NOT NULL, owner integer,
            FOREIGN KEY (customer) REFERENCES users (id), FOREIGN KEY (owner) REFERENCES users (id) ON DELETE SET NULL);
        CREATE INDEX by_customer ON tickets (customer);
        CREATE INDEX by_owner ON tickets (owner)
    """)
    database.execute(f"INSERT INTO users SELECT i, i % 2 FROM {numbers(database, 40)}")
    database.execute(f"INSERT INTO tickets SELECT i, i, i + 20 FROM {numbers(database, 20)}")
    more = {"url": database.url, "table": "users", "where": "active = 0", "allow": ["cascades"], "batch_size": 7}
    finished = library.archive(**more, to=f"{tmp_path}/a/", format="jsonl")
    assert (finished.reason, finished.rows, finished.left) == ("incomplete", 10, 10), finished
    assert database.column("SELECT id FROM users WHERE active = 0 ORDER BY id") == [*range(2, 21, 2)]
    assert database.scalar("SELECT count(*) FROM tickets WHERE owner IS NULL") == 10


def test_the_hint_names_the_verb(sqlite: Database, tmp_path: Path) -> None:
    sqlite.script("""
        CREATE TABLE t (id integer PRIMARY KEY);
        CREATE TABLE c (t_id integer REFERENCES t);
        CREATE INDEX c_t ON c (t_id);
        INSERT INTO t VALUES (1), (2);
        INSERT INTO c VALUES (1)
    """)
    finished = library.archive(url=sqlite.url, table="t", all_rows=True, to=f"{tmp_path}/a/", format="jsonl")
    assert (finished.reason, finished.rows, finished.left) == ("incomplete", 1, 1), finished
    assert finished.error.hint == "--with-children archives the rows that refer to them first."  # type: ignore[union-attr]
