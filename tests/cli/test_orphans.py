"""batchops orphans: what it finds along which references, what it deletes, how it ends."""

import pytest
from sqlalchemy import make_url

from tests.bulk.children.test_graph import make
from tests.bulk.plan.situations import NUMBERS
from tests.cli.conftest import Cli
from tests.conftest import NewDatabase
from tests.services.database import Database

BLOG = """
CREATE TABLE posts (id integer PRIMARY KEY);
CREATE TABLE pairs (a integer NOT NULL, b integer NOT NULL, PRIMARY KEY (a, b));
CREATE TABLE comments (id integer PRIMARY KEY, owner_id integer, owner_type varchar(10));
CREATE TABLE likes (id integer PRIMARY KEY, comment_id integer);
CREATE TABLE marks (id integer PRIMARY KEY, a integer, b integer);
INSERT INTO posts VALUES (1), (2);
INSERT INTO pairs VALUES (1, 1);
INSERT INTO comments VALUES (1, 1, 'Post'), (2, 9, 'Post'), (3, 9, 'User'), (4, NULL, 'Post');
INSERT INTO likes VALUES (1, 1), (2, 2), (3, 7), (4, NULL);
INSERT INTO marks VALUES (1, 1, 1), (2, 1, 2), (3, 1, NULL), (4, NULL, NULL)
"""
COMMENTS = ("--child", "comments.owner_id -> posts.id where owner_type = 'Post'")
LIKES = ("--child", "likes.comment_id -> comments.id")
MARKS = ("--child", "marks.(a, b) -> pairs.(a, b)")


def found(cli: Cli, database: Database, *arguments: str) -> dict[str, list[str]]:
    """The keys of the orphans, by table."""
    document = cli("orphans", *arguments, "--url", database.url, "--json").json()
    assert document["rows"] == sum(one["rows"] for one in document["orphans"])
    return {one["table"]: one["first"] for one in document["orphans"]}


def test_declared_references(cli: Cli, database: Database) -> None:
    """A condition, NULL, a composite key part of which is NULL."""
    make(database, BLOG)
    assert found(cli, database, "--all", *COMMENTS, *LIKES, *MARKS) == {
        "comments": ["id=2"], "likes": ["id=3"], "marks": ["id=2"],
    }  # fmt: skip
    assert found(cli, database, "likes", *COMMENTS, *LIKES) == {"likes": ["id=3"]}


def test_the_lines(cli: Cli, database: Database) -> None:
    make(database, BLOG)
    told = cli("orphans", "--all", *COMMENTS, *LIKES, env={"BATCHOPS_URL": database.url})
    assert (told.code, told.err) == (0, "")
    assert sorted(told.out.splitlines()[:2]) == [
        "comments.owner_id -> posts.id    1 orphan  declared by --child: id=2",
        "likes.comment_id -> comments.id  1 orphan  declared by --child: id=3",
    ]
    assert told.out.splitlines()[2] == "2 orphans along 2 references"
    assert cli("orphans", "--all", *LIKES, "--url", database.url, "--exit-code").code == 3
    assert cli("orphans", "marks", "--child", "marks.a -> posts.id", "--url", database.url, "--exit-code").code == 0


@pytest.mark.wide(2)
def test_they_are_deleted_parents_first(cli: Cli, database: Database) -> None:
    """The likes of a comment that goes become orphans on the way, and go in the same run."""
    make(database, BLOG)
    asked = ("orphans", "--all", *COMMENTS, *LIKES, "--url", database.url, "--purge")
    assert cli(*asked, "-n").code == 0
    assert database.scalar("SELECT count(*) FROM likes") == 4
    assert cli(*asked).code == 2  # nobody can be asked
    done = cli(*asked, "-y", "--json")
    assert done.code == 0, done
    assert [job["rows"] for job in done.json()["jobs"]] == [1, 2]
    assert [one["rows"] for one in done.json()["orphans"]] == [1, 1]
    assert database.column("SELECT id FROM comments ORDER BY id") == [1, 3, 4]
    assert database.column("SELECT id FROM likes ORDER BY id") == [1, 4]
    assert cli(*asked, "-y", "--exit-code").code == 4


@pytest.mark.wide(2)
def test_foreign_keys_whose_checks_were_off(cli: Cli, database: Database) -> None:
    make(database, BLOG)
    alter = "ALTER TABLE likes ADD CONSTRAINT of_comment FOREIGN KEY (comment_id) REFERENCES comments (id)"
    again = "CREATE TABLE likes (id integer PRIMARY KEY, comment_id integer REFERENCES comments)"
    table = {
        "postgresql": f"{alter} NOT VALID",
        "mysql": f"SET foreign_key_checks = 0; {alter}",
        "sqlite": f"DROP TABLE likes; {again}; INSERT INTO likes VALUES (1, 1), (2, 2), (3, 7), (4, NULL)",
    }[database.backend]
    database.script(table)
    assert found(cli, database, "--all") == {"likes": ["id=3"]}
    done = cli("orphans", "likes", "--purge", "-y", "--url", database.url)
    assert done.code == 0, done
    assert database.column("SELECT id FROM likes ORDER BY id") == [1, 2, 4]


@pytest.mark.wide(2)
def test_rows_that_are_still_referred_to_stay(cli: Cli, database: Database) -> None:
    """An orphan whose own children are held by a foreign key: counted as left, never a silent 0."""
    make(database, BLOG + ";CREATE TABLE flags (id integer PRIMARY KEY, comment_id integer, "
         "FOREIGN KEY (comment_id) REFERENCES comments (id));INSERT INTO flags VALUES (1, 2)")  # fmt: skip
    kept = cli("orphans", "comments", *COMMENTS, "--purge", "-y", "--url", database.url)
    assert kept.code == 3, kept
    assert database.scalar("SELECT count(*) FROM comments") == 4


@pytest.mark.wide(2)
def test_rows_that_are_still_referred_to_go_with_the_children(cli: Cli, database: Database) -> None:
    flags = (
        "CREATE TABLE flags (id integer PRIMARY KEY, comment_id integer, "
        "FOREIGN KEY (comment_id) REFERENCES comments (id))"
    )
    make(database, f"{BLOG};{flags};INSERT INTO flags VALUES (1, 2), (2, 1)")
    asked = ("orphans", "comments", *COMMENTS, "--purge", "-y", "--with-children", "--url", database.url)
    done = cli(*asked, "--allow", "fk-index")
    assert done.code == 0, done
    assert database.column("SELECT id FROM comments ORDER BY id") == [1, 3, 4]
    assert database.column("SELECT id FROM flags") == [2]


def test_validated_foreign_keys_are_not_looked_at(cli: Cli, postgresql: Database) -> None:
    postgresql.script(
        "CREATE TABLE a (id integer PRIMARY KEY); CREATE TABLE b (id integer PRIMARY KEY, a integer REFERENCES a);"
    )
    told = cli("orphans", "--all", "--url", postgresql.url)
    assert (told.code, told.out.startswith("Nothing to look at")) == (0, True)
    postgresql.script("SET session_replication_role = replica; INSERT INTO b VALUES (1, 5);")
    postgresql.execute("ALTER TABLE b DISABLE TRIGGER ALL")
    assert found(cli, postgresql, "b") == {"b": ["id=1"]}


def test_a_parent_that_the_role_may_not_read(cli: Cli, postgresql: Database) -> None:
    make(postgresql, BLOG)
    role = f"o_{postgresql.name}"[-32:]
    postgresql.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    try:
        postgresql.execute(f"GRANT SELECT ON likes TO {role}")
        url = make_url(postgresql.url).set(username=role, password="x").render_as_string(hide_password=False)
        told = cli("orphans", "likes", *LIKES, env={"BATCHOPS_URL": url})
        assert told.code == 3
        assert "not counted" in told.out
        assert "no right to SELECT" in told.out
        assert "GRANT SELECT" in told.out
    finally:
        postgresql.execute(f"DROP OWNED BY {role}")
        postgresql.execute(f"DROP ROLE {role}")


def test_a_parent_table_that_is_gone(cli: Cli, sqlite: Database) -> None:
    sqlite.script(
        "CREATE TABLE b (id integer PRIMARY KEY, a integer REFERENCES a); INSERT INTO b VALUES (1, 5), (2, NULL)"
    )
    told = cli("orphans", "b", "--url", sqlite.url)
    assert "1 orphan  its parent table is gone: id=1" in told.out
    kept = cli("orphans", "b", "--purge", "-y", "--url", sqlite.url)
    assert kept.code == 3
    assert "drop or correct it first" in kept.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Give TABLE, or --all"),
        (("likes", "--all"), "Give TABLE, or --all"),
        (("likes", "--batch-size", "5"), "--batch-size needs --purge"),
        (("likes", "--child", "likes to comments"), "is not an edge"),
        (("likes", "--child", "likes.comment -> comments.id"), 'no column "comment"'),
        (("like",), 'There is no table "like"'),
    ],
)
def test_what_cannot_be_used(cli: Cli, sqlite: Database, arguments: tuple[str, ...], says: str) -> None:
    make(sqlite, BLOG)
    told = cli("orphans", *arguments, "--url", sqlite.url)
    assert told.code in (2, 10)
    assert says in told.err


@pytest.mark.wide(2)
def test_names_that_need_quotes(cli: Cli, database: Database) -> None:
    mark = "`" if database.backend == "mysql" else '"'
    make(
        database,
        """CREATE TABLE "Or der" ("I d" integer PRIMARY KEY, "select" integer);
        CREATE TABLE "from" (id integer PRIMARY KEY, "or.der" integer, "50%" integer);
        INSERT INTO "Or der" VALUES (1, 1), (2, 2);
        INSERT INTO "from" VALUES (1, 1, 7), (2, 2, 2), (3, 3, NULL)""".replace('"', mark),
    )
    declared = [f"from.{mark}or.der{mark} -> {mark}Or der{mark}.{mark}I d{mark}", "from.50% -> Or der.I d"]
    declared[1] = declared[1].replace("Or der.I d", f"{mark}Or der{mark}.{mark}I d{mark}")
    asked = ("--child", declared[0], "--child", declared[1])
    document = cli("orphans", "from", *asked, "--url", database.url, "--json").json()
    assert {one["columns"][0]: one["first"] for one in document["orphans"]} == {"or.der": ["id=3"], "50%": ["id=1"]}
    done = cli("orphans", "from", *asked, "--purge", "-y", "--url", database.url)
    assert done.code == 0, done
    assert len(database.rows("SELECT 1 FROM " + f"{mark}from{mark}")) == 1


WORDPRESS = """
CREATE TABLE wp_posts (id bigint PRIMARY KEY, post_type varchar(20) NOT NULL);
CREATE TABLE wp_postmeta (meta_id bigint PRIMARY KEY, post_id bigint NOT NULL, meta_key varchar(255));
CREATE INDEX wp_postmeta_post_id ON wp_postmeta (post_id);
CREATE TABLE wp_comments (comment_id bigint PRIMARY KEY, comment_post_id bigint NOT NULL, comment_parent bigint);
CREATE TABLE wp_commentmeta (meta_id bigint PRIMARY KEY, comment_id bigint NOT NULL);
CREATE TABLE wp_term_relationships (object_id bigint NOT NULL, term_taxonomy_id bigint NOT NULL,
  PRIMARY KEY (object_id, term_taxonomy_id))
"""
REFERENCES = {
    "wp_postmeta": "wp_postmeta.post_id -> wp_posts.id",
    "wp_comments": "wp_comments.comment_post_id -> wp_posts.id",
    "wp_commentmeta": "wp_commentmeta.comment_id -> wp_comments.comment_id",
    "wp_term_relationships": "wp_term_relationships.object_id -> wp_posts.id",
}


def fill_wordpress(database: Database, rows: int) -> None:
    """Two of three posts are gone."""
    make(database, WORDPRESS)
    numbers = NUMBERS[database.backend].format(rows)
    for into in (
        "wp_posts SELECT i, 'post' FROM ({}) AS n WHERE i % 3 = 0",
        "wp_postmeta SELECT i, i / 4 + 1, 'k' FROM ({}) AS n",
        "wp_comments SELECT i, i / 2 + 1, 0 FROM ({}) AS n",
        "wp_commentmeta SELECT i, i FROM ({}) AS n",
        "wp_term_relationships SELECT i, 1 FROM ({}) AS n",
    ):
        text = into.replace("i / ", "i DIV ") if database.backend == "mysql" else into
        database.execute(f"INSERT INTO {text.format(numbers)}")


def test_wordpress(cli: Cli, sqlite: Database) -> None:
    check_wordpress(cli, sqlite)


@pytest.mark.full
@pytest.mark.parametrize("on", ["postgresql", "mariadb"])
def test_wordpress_on_a_server(cli: Cli, new_database: NewDatabase, on: str) -> None:
    check_wordpress(cli, new_database(on))


def check_wordpress(cli: Cli, database: Database) -> None:
    """The end is that of one plain statement for each reference, in the order in which a person would give them."""
    fill_wordpress(database, 600)
    declared = [word for text in REFERENCES.values() for word in ("--child", text)]
    before = found(cli, database, "--all", *declared)
    assert set(before) == set(REFERENCES)
    content = {}
    for table, text in REFERENCES.items():
        database.execute(f"CREATE TABLE copy_{table} AS SELECT * FROM {table}")
        column, parent = text.partition(" -> ")[0].partition(".")[2], text.partition(" -> ")[2]
        name, key = parent.split(".")
        source = f"copy_{name}" if name in REFERENCES else name
        gone = f"NOT EXISTS (SELECT 1 FROM {source} p WHERE p.{key} = copy_{table}.{column})"
        database.execute(f"DELETE FROM copy_{table} WHERE {gone}")
        content[table] = sorted(database.rows(f"SELECT * FROM copy_{table}"))
    done = cli("orphans", "--all", *declared, "--purge", "-y", "--url", database.url)
    assert done.code == 0, done
    assert {table: sorted(database.rows(f"SELECT * FROM {table}")) for table in REFERENCES} == content
    assert 0 < len(content["wp_commentmeta"]) < 600
