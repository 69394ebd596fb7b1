"""The plan of a purge with children: its tree and counts, what it refuses table by table; it writes nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from batchops import verbs as registry
from batchops.bulk.plan.plan import BulkPlan
from batchops.bulk.spec import PurgeSpec
from batchops.errors import RefusedError, UsageError
from batchops.recipes.load import load
from batchops.spec.models import checked
from tests.bulk.children.test_graph import make
from tests.command import Batchops
from tests.services.database import Database

SHOP = """
CREATE TABLE users (id integer PRIMARY KEY, gone integer NOT NULL, invited_by integer);
CREATE TABLE orders (id integer PRIMARY KEY, user_id integer NOT NULL,
  FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE);
CREATE TABLE items (id integer PRIMARY KEY, order_id integer NOT NULL, FOREIGN KEY (order_id) REFERENCES orders (id));
CREATE TABLE reviews (id integer PRIMARY KEY, user_id integer, FOREIGN KEY (user_id) REFERENCES users (id)
  ON DELETE SET NULL);
CREATE TABLE comments (id integer PRIMARY KEY, owner_id integer, owner_type varchar(20));
CREATE INDEX orders_of ON orders (user_id);
CREATE INDEX items_of ON items (order_id);
CREATE INDEX reviews_of ON reviews (user_id);
CREATE INDEX comments_of ON comments (owner_type, owner_id);
INSERT INTO users VALUES (1, 1, NULL), (2, 1, NULL), (3, 0, NULL);
INSERT INTO orders VALUES (1, 1), (2, 1), (3, 3);
INSERT INTO items VALUES (1, 1), (2, 1), (3, 2), (4, 3);
INSERT INTO reviews VALUES (1, 1), (2, 3);
INSERT INTO comments VALUES (1, 1, 'User'), (2, 1, 'Post'), (3, 3, 'User')
"""
COMMENTS = "comments.owner_id -> users.id where owner_type = 'User'"


@contextmanager
def planned(database: Database, **options: Any) -> Iterator[BulkPlan]:
    asked = {"url": database.url, "table": "users", "where": "gone = 1", "with_children": True} | options
    with registry.VERBS["purge"].prepare(checked(PurgeSpec, asked), os.environ) as job:
        yield job.plan  # type: ignore[misc]


def rows(plan: BulkPlan) -> list[str]:
    return [text for name, text in plan.rows(whole=False) if name in ("children", "", "in all", "circle", "index")]


def refused(plan: BulkPlan) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in plan.refusals:
        if not one.allowed:
            found.setdefault(one.check, []).append(one.message)
    return found


def test_the_tree(database: Database) -> None:
    make(database, SHOP)
    before = database.rows("SELECT * FROM items")
    with planned(database, child=COMMENTS, edge="comments.owner_id = delete") as plan:
        assert rows(plan) == [
            "users                    2 rows  delete    the rows themselves, last",
            "├─ orders by user_id     2 rows  delete    CASCADE",
            "│  └─ items by order_id  3 rows  delete    " + the_rule(database),
            "├─ reviews by user_id    1 row   set NULL  SET NULL",
            "└─ comments by owner_id  1 row   delete    chosen by --edge, where owner_type = 'User'",
            "9 rows of 5 tables",
        ]
        assert refused(plan) == {}
        assert "with their rows in 4 other tables" in plan.question
        document = plan.document()["children"]
    assert sorted(document["order"][:-1]) == ["comments", "items", "orders"]
    assert document["order"].index("items") < document["order"].index("orders") < document["order"].index("users")
    assert [edge["rows"] for edge in document["edges"]] == [2, 1, 1, 3]
    assert database.rows("SELECT * FROM items") == before


def test_what_it_costs_counts_the_rows_of_all_tables(sqlite: Database) -> None:
    make(sqlite, SHOP)
    sqlite.execute(
        "INSERT INTO orders WITH RECURSIVE s(n) AS (SELECT 10 UNION ALL SELECT n + 1 FROM s WHERE n < 9999)"
        " SELECT n, 1 FROM s"
    )
    alone, many = (f"id = {user} AND gone = 1" for user in (2, 1))
    with planned(sqlite, where=alone) as plan:
        few = (plan.cost.seconds or 0.0, plan.cost.log_bytes or 0)
    with planned(sqlite, where=many) as plan:
        all_ = (plan.cost.seconds or 0.0, plan.cost.log_bytes or 0)
    assert min(few) > 0
    assert [more > 100 * less for more, less in zip(all_, few, strict=True)] == [True, True]


def the_rule(database: Database) -> str:
    """MariaDB says RESTRICT of a foreign key without a rule, until 11."""
    return "RESTRICT" if database.backend == "mysql" else "NO ACTION"


def test_a_tree_is_counted_to_its_leaves(database: Database) -> None:
    make(
        database,
        """CREATE TABLE places (id integer PRIMARY KEY, up integer, FOREIGN KEY (up) REFERENCES places (id));
        CREATE TABLE people (id integer PRIMARY KEY, place integer, FOREIGN KEY (place) REFERENCES places (id));
        CREATE INDEX places_up ON places (up);
        CREATE INDEX people_place ON people (place);
        INSERT INTO places VALUES (1, NULL), (2, 1), (3, 2), (4, 3), (5, NULL);
        INSERT INTO people VALUES (1, 1), (2, 4)""",
    )
    with planned(database, table="places", where="id = 1") as plan:
        assert rows(plan)[0].split("  ")[0] == "places"
        counts = {
            edge.source: one.text for edge, one in zip(plan.children.graph.edges, plan.children.reached, strict=True)
        }  # type: ignore[union-attr]
        assert counts == {"places.up": "3 rows", "people.place": "1 row"}
        assert plan.children.total == "at least 5 rows of 2 tables"  # type: ignore[union-attr]


def test_rows_that_are_counted_twice_beside_rows_that_are_not_counted(database: Database) -> None:
    """ "At least" said more than there are: a row was counted by each of its references."""
    make(
        database,
        """CREATE TABLE places (id integer PRIMARY KEY, up integer, top integer,
        FOREIGN KEY (up) REFERENCES places (id), FOREIGN KEY (top) REFERENCES places (id));
        CREATE INDEX places_up ON places (up);
        CREATE INDEX places_top ON places (top);
        INSERT INTO places VALUES (1, NULL, NULL), (2, 1, 1), (3, 1, 1)""",
    )
    with planned(database, table="places", where="id = 1") as plan:
        assert plan.children.total == "about 5 rows of 1 table"  # type: ignore[union-attr]


def test_what_has_to_be_chosen(database: Database) -> None:
    make(database, SHOP)
    with planned(database, child=COMMENTS) as plan:
        assert any(line.startswith("└─ comments by owner_id  1 row   refused ") for line in rows(plan))
        (message,) = refused(plan)["children"]
        (hint,) = (one.hint for one in plan.refusals if one.message == message)
    assert "comments.owner_id" in message
    assert hint == '--edge "comments.owner_id = delete", or null, or refuse.'


def test_an_empty_graph_is_said(database: Database) -> None:
    make(database, SHOP)
    with planned(database, table="comments", where="id = 1") as plan:
        assert ("children", 'none: nothing refers to "comments"') in list(plan.rows(whole=False))
        assert any("Nothing refers to" in warning for warning in plan.warnings)


@pytest.mark.full
def test_tables_that_cannot_be_followed(database: Database) -> None:
    """Rows without a key to which others refer: only MariaDB has nothing that names them, once they are locked."""
    make(database, SHOP)
    database.script(
        "CREATE TABLE tags (user_id integer NOT NULL, tag integer, UNIQUE (tag),"
        " FOREIGN KEY (user_id) REFERENCES users (id));"
        "CREATE INDEX tags_user ON tags (user_id)"
    )
    with planned(database) as plan:
        assert refused(plan) == {}
    database.script(
        "CREATE TABLE tagged (id integer NOT NULL PRIMARY KEY, tag integer, FOREIGN KEY (tag) REFERENCES tags (tag));"
        "CREATE INDEX tagged_tag ON tagged (tag)"
    )
    if database.backend == "mysql":
        nameless = 'Table "tags" has no primary key or unique index without NULLs, and rows of tagged refer to it'
        with pytest.raises(RefusedError, match=nameless), planned(database):
            pass
    else:
        with planned(database) as plan:
            assert refused(plan) == {}
    with planned(database, stop_at="tags") as plan:
        assert refused(plan) == {}


@pytest.mark.full
def test_triggers_of_each_table(database: Database) -> None:
    make(database, SHOP)
    ddl = {
        "postgresql": [
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
            "CREATE TRIGGER on_items AFTER DELETE ON items FOR EACH ROW EXECUTE FUNCTION f()",
            "CREATE TRIGGER on_reviews AFTER UPDATE OF user_id ON reviews FOR EACH ROW EXECUTE FUNCTION f()",
            "CREATE TRIGGER unfired AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION f()",
        ],
        "mysql": [
            "CREATE TRIGGER on_items AFTER DELETE ON items FOR EACH ROW SET @a = 1",
            "CREATE TRIGGER on_reviews AFTER UPDATE ON reviews FOR EACH ROW SET @a = 1",
            "CREATE TRIGGER unfired AFTER UPDATE ON orders FOR EACH ROW SET @a = 1",
        ],
        "sqlite": [
            "CREATE TRIGGER on_items AFTER DELETE ON items BEGIN SELECT 1; END",
            "CREATE TRIGGER on_reviews AFTER UPDATE OF user_id ON reviews BEGIN SELECT 1; END",
            "CREATE TRIGGER unfired AFTER UPDATE ON orders BEGIN SELECT 1; END",
        ],
    }[database.backend]
    for statement in ddl:
        database.execute(statement)
    with planned(database) as plan:
        said = refused(plan)["triggers"]
    assert len(said) == 2
    assert any('"on_items" on "items"' in one for one in said)
    assert any('"on_reviews" on "reviews"' in one for one in said)
    with planned(database, allow="triggers") as plan:
        assert refused(plan) == {}


def test_an_index_that_a_large_child_lacks(postgresql: Database) -> None:
    make(postgresql, SHOP)
    postgresql.execute("DROP INDEX items_of")
    postgresql.execute("INSERT INTO items SELECT i, 1 FROM generate_series(5, 1200) AS i")
    with planned(postgresql) as plan:
        (message,) = refused(plan)["fk-index"]
        assert '"items" refers to "orders" by order_id without an index' in message
        assert "CREATE INDEX CONCURRENTLY ON public.items (order_id);" in rows(plan)
        assert any("no index" in line for line in rows(plan))


def test_a_circle_that_nothing_breaks_is_printed(mariadb: Database) -> None:
    make(
        mariadb,
        """CREATE TABLE users (id integer PRIMARY KEY, gone integer NOT NULL, team integer NOT NULL);
        CREATE TABLE teams (id integer PRIMARY KEY, boss integer NOT NULL, FOREIGN KEY (boss) REFERENCES users (id));
        ALTER TABLE users ADD FOREIGN KEY (team) REFERENCES teams (id)""",
    )
    with planned(mariadb) as plan:
        (message,) = refused(plan)["children"]
        assert "users.team -> teams.id" in message
        assert "teams.boss -> users.id" in message
        assert any("can be NULL" in line for line in rows(plan))


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_no_right_on_a_grandchild(kind: str, request: pytest.FixtureRequest) -> None:
    database: Database = request.getfixturevalue(kind)
    make(database, SHOP)
    name = f"r_{database.name}"[-32:]
    who = f"'{name}'@'%'" if database.backend == "mysql" else f'"{name}"'
    login = "IDENTIFIED BY 'x'" if database.backend == "mysql" else "LOGIN PASSWORD 'x'"
    database.execute(f"CREATE USER {who} {login}")
    try:
        for table in ("users", "orders", "reviews"):
            database.execute(f"GRANT SELECT, UPDATE, DELETE ON {table} TO {who}")
        database.execute(f"GRANT SELECT ON items TO {who}")
        url = make_url(database.url).set(username=name, password="x").render_as_string(hide_password=False)
        with planned(database, url=url) as plan:
            assert plan.children is not None
            (missing,) = refused(plan)["right"]
            assert "DELETE" in missing
            assert "items" in missing
            rule = {edge.child.name: edge.on_delete for edge in plan.children.graph.edges}
            assert (rule["orders"], rule["reviews"]) == ("CASCADE", "SET NULL")
    finally:
        database.execute(f"DROP OWNED BY {who}" if database.backend == "postgresql" else f"DROP USER {who}")
        if database.backend == "postgresql":
            database.execute(f"DROP USER {who}")


def test_a_cascade_to_a_table_that_the_account_may_only_read(mariadb: Database) -> None:
    """information_schema shows the reference then, but not its rule; a plain purge is refused all the same."""
    make(mariadb, SHOP)
    who = f"'r_{mariadb.name}'"[-32:].strip("'")
    mariadb.execute(f"CREATE USER '{who}'@'%' IDENTIFIED BY 'x'")
    try:
        mariadb.execute(f"GRANT SELECT, DELETE ON users TO '{who}'@'%'")
        mariadb.execute(f"GRANT SELECT ON orders TO '{who}'@'%'")
        url = make_url(mariadb.url).set(username=who, password="x").render_as_string(hide_password=False)
        with planned(mariadb, url=url, with_children=False) as plan:
            (message,) = refused(plan)["cascades"]
            assert 'delete 2 rows of "orders"' in message
    finally:
        mariadb.execute(f"DROP USER '{who}'@'%'")


def test_a_condition_that_reads_a_child_is_evaluated_once(database: Database) -> None:
    make(database, SHOP)
    with planned(database, where="id IN (SELECT user_id FROM orders)") as plan:
        assert plan.strategy == "list"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"with_children": False, "child": COMMENTS}, "--child needs --with-children"),
        ({"child": "comments.owner_id users.id"}, "is not an edge"),
        ({"child": "comments.(a, b) -> users.id"}, "as many on both sides"),
        ({"edge": "orders.user_id = drop"}, 'no action "drop"'),
        ({"edge": "orders = delete"}, "is no choice"),
        ({"drop_partitions": True}, "excludes --drop-partitions"),
    ],
)
def test_options_that_are_wrong(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        checked(PurgeSpec, {"table": "users", "where": "gone = 1", "with_children": True} | options)


@pytest.mark.parametrize(
    ("mark", "says"),
    [
        ("gon = 2", 'has no column "gon"'),
        ("id = 2", "found by"),
        ("gone = (SELECT 1)", "known again by the value"),
        ("gone = NULL", "known again by the value"),
        ("gone", "column = expression"),
    ],
)
def test_marks_that_cannot_be_set(sqlite: Database, mark: str, says: str) -> None:
    make(sqlite, SHOP)
    with pytest.raises((UsageError, RefusedError), match=says), planned(sqlite, mark=mark):
        pass
    with planned(sqlite, mark="gone = 2") as plan:
        assert refused(plan) == {}


def test_in_a_recipe(sqlite: Database, tmp_path: Path) -> None:
    """With a value of the recipe's own in the condition of an edge."""
    make(sqlite, SHOP)
    recipe = tmp_path / "shop.toml"
    recipe.write_text(
        """
        [params]
        kind = { type = "text", default = "User" }
        [job.users]
        verb = "purge"
        table = "users"
        where = "gone = 1"
        with-children = true
        child = ["comments.owner_id -> users.id where owner_type = :kind"]
        edge = ["comments.owner_id = delete"]
        mark = "gone = 2"
        max-total = 100
        """
    )
    (job,) = load(recipe, {}).jobs
    with job.verb.prepare(job.spec.model_copy(update={"url": sqlite.url}), os.environ) as ready:
        (comments,) = (edge for edge in ready.plan.document()["children"]["edges"] if edge["table"] == "comments")
    assert (comments["condition"], comments["rows"]) == ("owner_type = 'User'", 1)
    recipe.write_text(recipe.read_text().replace(" -> users.id", " > users.id"))
    with pytest.raises(UsageError, match="has a mistake") as wrong:
        load(recipe, {})
    assert "is not an edge" in wrong.value.message


def test_on_the_command_line(batchops: Batchops, sqlite: Database) -> None:
    """A dry run shows the tree, in lines and in JSON."""
    make(sqlite, SHOP)
    asked = ("purge", "users", "--where", "gone = 1", "--with-children", "--url", sqlite.url, "-n")
    shown = batchops(*asked)
    assert "  children  users " in shown.out
    assert "│  └─ items by order_id  3 rows" in shown.out
    assert batchops(*asked, "--json").json()["plan"]["children"]["total"] == "8 rows of 4 tables"
    assert batchops("check", *asked[1:-1]).code == 0
