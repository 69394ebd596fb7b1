"""The graph below a table: rules of the catalogue, declared edges, choices, several paths, circles, depth and width."""

import pytest

from batchops.bulk.children.graph import Graph
from batchops.errors import NotFoundError, RefusedError, UsageError
from tests.bulk.children.reading import edges, order, read_graph, the_edge
from tests.services.database import Database

RULES = """
CREATE TABLE users (id integer PRIMARY KEY, invited_by integer REFERENCES users (id) ON DELETE SET NULL);
CREATE TABLE orders (id integer PRIMARY KEY, user_id integer NOT NULL,
  FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE);
CREATE TABLE items (id integer PRIMARY KEY, order_id integer NOT NULL, FOREIGN KEY (order_id) REFERENCES orders (id));
CREATE TABLE reviews (id integer PRIMARY KEY, user_id integer, FOREIGN KEY (user_id) REFERENCES users (id)
  ON DELETE SET NULL);
CREATE TABLE votes (id integer PRIMARY KEY, review_id integer, FOREIGN KEY (review_id) REFERENCES reviews (id)
  ON DELETE RESTRICT);
CREATE TABLE audit (id integer PRIMARY KEY, entity_id integer NOT NULL, kind varchar(20), note varchar(20));
"""


def make(database: Database, ddl: str) -> None:
    """Each statement by itself; MariaDB reads REFERENCES beside a column as PostgreSQL does, but MySQL does not."""
    for statement in ddl.split(";"):
        if statement.strip():
            database.execute(statement)


def test_the_catalogue_decides(database: Database) -> None:
    make(database, RULES)
    graph = read_graph(database, "users")
    assert edges(graph) == {
        "orders.user_id -> users.id": "delete",
        "reviews.user_id -> users.id": "null",
        "users.invited_by -> users.id": "null",
        "items.order_id -> orders.id": "delete",
    }
    assert order(graph) == ["items", "orders", "users"]
    assert [table.label for table in graph.touched] == ["items", "orders", "users", "reviews"]
    orders = the_edge(graph, "orders.user_id")
    assert (orders.on_delete, orders.nullable, orders.why) == ("CASCADE", False, "ON DELETE CASCADE")
    items = the_edge(graph, "items.order_id")
    assert items.on_delete in ("NO ACTION", "RESTRICT")
    assert items.indexed == (database.backend == "mysql")
    assert the_edge(graph, "reviews.user_id").nulls == ("user_id",)
    trusted = database.backend == "postgresql"
    assert {(edge.validated, edge.enforced) for edge in graph.edges} == {(trusted, True)}


def test_a_missing_index_is_named(database: Database) -> None:
    make(database, RULES)
    items = the_edge(read_graph(database, "users"), "items.order_id")
    if database.backend == "mysql":
        assert items.index is None  # InnoDB makes one itself
        return
    assert items.index is not None
    assert items.index.endswith("(order_id)")
    if database.backend == "postgresql":
        assert items.index == "CREATE INDEX CONCURRENTLY ON public.items (order_id)"
    database.execute("CREATE INDEX by_order ON items (order_id, id)")
    assert the_edge(read_graph(database, "users"), "items.order_id").indexed


def test_declared_edges_wait_for_a_choice(database: Database) -> None:
    make(database, RULES)
    child = "audit.entity_id -> users.id where kind = 'User'"
    edge = the_edge(read_graph(database, "users", [child]), "audit.entity_id")
    assert (edge.action, edge.chosen, edge.declared, edge.why) == ("refuse", False, True, "declared by --child")
    assert (edge.condition, edge.validated, edge.enforced) == ("kind = 'User'", False, False)
    edge = the_edge(read_graph(database, "users", [child], ["audit.entity_id = delete"]), "audit.entity_id")
    assert (edge.action, edge.chosen, edge.why, edge.indexed) == ("delete", True, "chosen by --edge", False)
    database.execute("CREATE INDEX by_kind ON audit (kind, entity_id)")
    assert the_edge(read_graph(database, "users", [child]), "audit.entity_id").indexed
    assert not the_edge(read_graph(database, "users", ["audit.entity_id -> users.id"]), "audit.entity_id").indexed


def test_a_declared_edge_that_the_catalogue_has_is_the_catalogues(database: Database) -> None:
    make(database, RULES)
    plain = read_graph(database, "users")
    assert edges(read_graph(database, "users", ["orders.user_id -> users.id"])) == edges(plain)


def test_choices_and_ends(database: Database) -> None:
    make(database, RULES)
    graph = read_graph(database, "users", edge=["reviews.user_id=delete", "users.invited_by = refuse"])
    assert edges(graph)["votes.review_id -> reviews.id"] == "delete"
    assert edges(graph)["users.invited_by -> users.id"] == "refuse"
    graph = read_graph(database, "users", stop_at=["orders"])
    assert edges(graph)["orders.user_id -> users.id"] == "refuse"
    assert the_edge(graph, "orders.user_id").why == "--stop-at"
    assert order(graph) == ["users"]


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"child": ["audit.entity -> users.id"]}, UsageError, 'has no column "entity"'),
        ({"child": ["audits.entity_id -> users.id"]}, NotFoundError, "audits"),
        ({"child": ["audit.note -> users.id"]}, UsageError, "cannot be compared"),
        ({"child": ["audit.entity_id -> users.id where knd = 'a'"]}, UsageError, "knd"),
        ({"child": ["audit.entity_id -> users.id where id in (select 1)"]}, UsageError, "nothing but columns"),
        ({"child": ["seen.id -> users.id"]}, RefusedError, "is a view"),
        ({"edge": ["audit.entity_id = delete"]}, UsageError, "no such edge"),
        ({"edge": ["orders.user_id = null"]}, UsageError, "cannot be NULL"),
        ({"edge": ["orders.user_id = null", "orders.user_id = delete"]}, UsageError, "chosen for this edge before"),
        ({"stop_at": ["order"]}, NotFoundError, "order"),
    ],
)  # fmt: skip
def test_what_cannot_be_used(sqlite: Database, options: dict[str, list[str]], error: type, says: str) -> None:
    make(sqlite, RULES + "CREATE VIEW seen AS SELECT id FROM users;")
    with pytest.raises(error, match=says):
        read_graph(sqlite, "users", **options)


def test_several_paths_and_composite_keys(database: Database) -> None:
    make(
        database,
        """
CREATE TABLE shops (id integer PRIMARY KEY);
CREATE TABLE carts (shop integer NOT NULL, id integer NOT NULL, PRIMARY KEY (shop, id),
  FOREIGN KEY (shop) REFERENCES shops (id));
CREATE TABLE notes (id integer PRIMARY KEY, shop integer NOT NULL, cart integer,
  FOREIGN KEY (shop) REFERENCES shops (id), FOREIGN KEY (shop, cart) REFERENCES carts (shop, id));
""",
    )
    graph = read_graph(database, "shops")
    assert edges(graph) == {
        "carts.shop -> shops.id": "delete",
        "notes.shop -> shops.id": "delete",
        "notes.(shop, cart) -> carts.(shop, id)": "delete",
    }
    assert order(graph) == ["notes", "carts", "shops"]
    assert len(graph.of(graph.tables[0])) == 2
    pair = the_edge(graph, "notes.(shop, cart)")
    assert pair.nulls == ("cart",)


def test_self_references_and_circles(database: Database) -> None:
    make(
        database,
        """
CREATE TABLE places (id integer PRIMARY KEY, parent integer, FOREIGN KEY (parent) REFERENCES places (id));
CREATE TABLE people (id integer PRIMARY KEY, place integer NOT NULL, FOREIGN KEY (place) REFERENCES places (id));
CREATE TABLE teams (id integer PRIMARY KEY, lead integer, FOREIGN KEY (lead) REFERENCES people (id));
CREATE TABLE chats (id integer PRIMARY KEY, team integer NOT NULL, FOREIGN KEY (team) REFERENCES teams (id));
""".replace("lead", "boss"),
    )
    column = "ALTER TABLE people ADD team integer"
    if database.backend == "sqlite":
        database.execute(f"{column} REFERENCES teams (id)")
    else:
        database.execute(column)
        database.execute("ALTER TABLE people ADD FOREIGN KEY (team) REFERENCES teams (id)")
    graph = read_graph(database, "places")
    assert [sorted(table.label for table in c.tables) for c in graph.components] == [
        ["chats"], ["people", "teams"], ["places"],
    ]  # fmt: skip
    circle = graph.component(the_edge(graph, "teams.boss").child)
    assert circle.circular
    assert len(circle.breaks) == 1
    assert not circle.deferred
    assert not circle.unbreakable
    assert [edge.source for edge in graph.component(graph.root).own] == ["places.parent"]


def circle_of(database: Database, suffix: str) -> Graph:
    database.execute("CREATE TABLE a (id integer PRIMARY KEY, b integer NOT NULL)")
    database.execute("CREATE TABLE b (id integer PRIMARY KEY, a integer NOT NULL)")
    database.execute(f"ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b (id){suffix}")
    database.execute(f"ALTER TABLE b ADD FOREIGN KEY (a) REFERENCES a (id){suffix}")
    return read_graph(database, "a")


def test_a_circle_that_nothing_breaks(mariadb: Database) -> None:
    (circle,) = circle_of(mariadb, "").components
    assert {edge.source for edge in circle.unbreakable} == {"a.b", "b.a"}


def test_a_circle_that_is_deferred(postgresql: Database) -> None:
    (circle,) = circle_of(postgresql, " DEFERRABLE").components
    assert len(circle.deferred) == 1
    assert not circle.unbreakable
    assert not circle.deferred[0].deferred


@pytest.mark.wide(2)
def test_sixty_tables_deep_and_wide(database: Database) -> None:
    """The statements are as many as for two tables; in a file each costs next to nothing."""
    make(
        database,
        "CREATE TABLE t0 (id integer PRIMARY KEY);CREATE TABLE w0 (id integer PRIMARY KEY, up integer NOT NULL, "
        "FOREIGN KEY (up) REFERENCES t0 (id));",
    )
    few: list[str] = []
    read_graph(database, "t0", statements=few)
    for i in range(1, 30):
        make(
            database,
            f"CREATE TABLE t{i} (id integer PRIMARY KEY, up integer NOT NULL, "
            f"FOREIGN KEY (up) REFERENCES t{i - 1} (id));"
            f"CREATE TABLE w{i} (id integer PRIMARY KEY, up integer NOT NULL, FOREIGN KEY (up) REFERENCES t0 (id));",
        )
    many: list[str] = []
    graph = read_graph(database, "t0", statements=many)
    assert len(graph.tables) == 60
    names = order(graph)
    assert [name for name in names if name.startswith("t")] == [f"t{i}" for i in reversed(range(30))]
    assert len(many) == len(few) or database.backend == "sqlite"


def test_partitioned_parents_and_children(postgresql: Database) -> None:
    postgresql.script("""
        CREATE TABLE days (id integer, day date NOT NULL, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
        CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
        CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
        CREATE TABLE hours (id integer, day_id integer, day date, FOREIGN KEY (day_id, day) REFERENCES days (id, day))
            PARTITION BY RANGE (day);
        CREATE TABLE hours_1 PARTITION OF hours FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
        CREATE TABLE pins (id integer, d integer, day date, FOREIGN KEY (d, day) REFERENCES days_1 (id, day));
    """)
    found = edges(read_graph(postgresql, "days"))
    assert found == {"hours.(day_id, day) -> days.(id, day)": "delete", "pins.(d, day) -> days.(id, day)": "refuse?"}
    found = edges(read_graph(postgresql, "days_1"))
    assert found == {"hours.(day_id, day) -> days_1.(id, day)": "delete", "pins.(d, day) -> days_1.(id, day)": "delete"}
    index = the_edge(read_graph(postgresql, "days"), "hours.(day_id, day)").index
    assert index == "CREATE INDEX ON public.hours (day_id, day)"


def test_foreign_tables_and_other_kinds_of_values(postgresql: Database) -> None:
    make(postgresql, RULES)
    postgresql.script("""
        CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
        CREATE FOREIGN TABLE far (id integer) SERVER s;
        CREATE TABLE spans (id interval, key uuid, big bigint, up integer[], n numeric, name text);
    """)
    with pytest.raises(RefusedError, match="is a foreign table"):
        read_graph(postgresql, "users", ["far.id -> users.id"])
    for column in ("id", "key", "up", "name"):
        with pytest.raises(UsageError, match="cannot be compared"):
            read_graph(postgresql, "users", [f"spans.{column} -> users.id"])
    for column in ("big", "n"):
        assert the_edge(read_graph(postgresql, "users", [f"spans.{column} -> users.id"]), f"spans.{column}").declared


def test_what_postgresql_does_not_vouch_for(postgresql: Database) -> None:
    postgresql.script("""
        CREATE SCHEMA crm;
        CREATE TABLE users (id integer PRIMARY KEY, a integer, b integer, UNIQUE (a, b));
        CREATE TABLE crm.notes (id integer, user_id integer, a integer, b integer);
        ALTER TABLE crm.notes ADD CONSTRAINT old FOREIGN KEY (user_id) REFERENCES users (id) NOT VALID;
        ALTER TABLE crm.notes ADD CONSTRAINT whole FOREIGN KEY (a, b) REFERENCES users (a, b) MATCH FULL
            ON DELETE SET DEFAULT;
    """)
    graph = read_graph(postgresql, "users")
    old = the_edge(graph, "crm.notes.user_id")
    assert (old.validated, old.enforced, old.constraint) == (False, True, "old")
    whole = the_edge(graph, "crm.notes.(a, b)")
    assert (whole.action, whole.chosen, whole.why, whole.nulls) == (
        "refuse",
        False,
        "ON DELETE SET DEFAULT",
        ("a", "b"),
    )
    postgresql.execute("ALTER TABLE crm.notes DISABLE TRIGGER ALL")
    assert not the_edge(read_graph(postgresql, "users"), "crm.notes.user_id").enforced
