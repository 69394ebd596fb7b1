"""Situations that a check is there for, made for real: the tables, the job, and what is left when it is allowed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.services.database import Database

ROWS = 600
CHILDREN = 1_200
LARGE = 25_000
ALL = ("postgresql", "mariadb", "sqlite")

NUMBERS = {
    "postgresql": "SELECT i FROM generate_series(1, {0}) i",
    "mysql": "SELECT seq AS i FROM seq_1_to_{0}",
    "sqlite": "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {0}) SELECT i FROM c",
}


def numbers(database: Database, count: int) -> str:
    """A sub-select with a column i from 1 to `count`."""
    return f"({NUMBERS[database.backend].format(count)}) AS numbers"


def parent(database: Database, rows: int = ROWS) -> None:
    """`t`: its rows 1 to `rows`, of which the odd ones match `kind = 1`."""
    database.script("CREATE TABLE t (id integer NOT NULL PRIMARY KEY, kind integer NOT NULL, n integer NOT NULL)")
    database.execute(f"INSERT INTO t SELECT i, i % 2, 0 FROM {numbers(database, rows)}")


def child(database: Database, name: str, rule: str, *, index: bool = True, rows: int = CHILDREN) -> None:
    """A table that refers to `t`'s even rows, which do not match, and with a rule to all of them."""
    database.script(
        f"CREATE TABLE {name} (id integer NOT NULL PRIMARY KEY, t_id integer, "
        f"FOREIGN KEY (t_id) REFERENCES t (id) {rule})"
    )
    every = "i % 600 + 1" if rule else "2 * (i % 300) + 2"
    database.execute(f"INSERT INTO {name} SELECT i, {every} FROM {numbers(database, rows)}")
    if index and database.backend != "mysql":
        database.execute(f"CREATE INDEX {name}_t_id ON {name} (t_id)")


def no_key(database: Database) -> None:
    database.script("CREATE TABLE t (kind integer NOT NULL, n integer NOT NULL)")
    database.execute(f"INSERT INTO t SELECT i % 2, 0 FROM {numbers(database, ROWS)}")


def scan_of_another(database: Database) -> None:
    """Each batch would look for its rows in a large table without an index."""
    parent(database)
    database.script("CREATE TABLE listed (t_id integer NOT NULL, id integer NOT NULL PRIMARY KEY)")
    database.execute(f"INSERT INTO listed SELECT 2 * i + 1, i FROM {numbers(database, LARGE)}")
    database.execute("ANALYZE" if database.backend != "mysql" else "ANALYZE TABLE listed, t")


def scan_by_another_order(database: Database) -> None:
    """The only key's index is in an order that the column's own comparison does not have."""
    database.script('CREATE TABLE t (name text COLLATE "C" NOT NULL, kind integer NOT NULL, n integer NOT NULL)')
    database.execute('CREATE UNIQUE INDEX ON t (name COLLATE "POSIX")')
    database.execute(f"INSERT INTO t SELECT i::text, i % 2, 0 FROM {numbers(database, LARGE)}")
    database.execute("ANALYZE")


def fk_index(database: Database) -> None:
    parent(database)
    child(database, "orders", "", index=False)


def cascades(database: Database) -> None:
    """orders go, their positions go with them, notes lose their reference."""
    parent(database)
    child(database, "orders", "ON DELETE CASCADE ON UPDATE CASCADE")
    child(database, "notes", "ON DELETE SET NULL ON UPDATE CASCADE")
    database.script(
        "CREATE TABLE positions (id integer NOT NULL PRIMARY KEY, order_id integer NOT NULL, "
        "FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE)"
    )
    database.execute(f"INSERT INTO positions SELECT i, i FROM {numbers(database, CHILDREN)}")
    if database.backend != "mysql":
        database.execute("CREATE INDEX positions_order_id ON positions (order_id)")


def cascades_on_update(database: Database) -> None:
    database.script(
        "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, kind integer NOT NULL, n integer NOT NULL UNIQUE);"
        "CREATE TABLE named (id integer NOT NULL PRIMARY KEY, n integer, "
        "FOREIGN KEY (n) REFERENCES t (n) ON UPDATE CASCADE)"
    )
    database.execute(f"INSERT INTO t SELECT i, i % 2, i FROM {numbers(database, ROWS)}")
    database.execute(f"INSERT INTO named SELECT i, i FROM {numbers(database, ROWS)}")
    if database.backend != "mysql":
        database.execute("CREATE INDEX named_n ON named (n)")


TRIGGERS = {
    "postgresql": """
CREATE FUNCTION log_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO log VALUES (OLD.id); RETURN NULL; END $$;
CREATE TRIGGER log_it AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION log_it();
CREATE TRIGGER of_no_concern AFTER UPDATE OF kind ON t FOR EACH ROW EXECUTE FUNCTION log_it();
""",
    "mysql": "CREATE TRIGGER log_it AFTER DELETE ON t FOR EACH ROW INSERT INTO log VALUES (OLD.id)",
    "sqlite": "CREATE TRIGGER log_it AFTER DELETE ON t BEGIN INSERT INTO log VALUES (OLD.id); END",
}


def triggers(database: Database) -> None:
    parent(database)
    database.script("CREATE TABLE log (id integer)")
    database.script(TRIGGERS[database.backend])


def rule(database: Database) -> None:
    parent(database)
    database.script(
        "CREATE TABLE log (id integer);"
        "CREATE RULE log_it AS ON DELETE TO t WHERE old.kind = 1 DO ALSO INSERT INTO log VALUES (old.id)"
    )


def nullable_key(database: Database) -> None:
    """The rows whose id is a multiple of five have no code."""
    database.script(
        "CREATE TABLE t (id integer NOT NULL, kind integer NOT NULL, n integer NOT NULL, code integer UNIQUE)"
    )
    values = "i, i % 2, 0, CASE WHEN i % 5 > 0 THEN i END"
    database.execute(f"INSERT INTO t SELECT {values} FROM {numbers(database, ROWS)}")


def nullable_pair(database: Database) -> None:
    """The same with a key of two columns, whose second may be NULL."""
    database.script(
        "CREATE TABLE t (id integer NOT NULL, kind integer NOT NULL, n integer NOT NULL, a integer NOT NULL, "
        "code integer, UNIQUE (a, code))"
    )
    values = "i, i % 2, 0, i % 7, CASE WHEN i % 5 > 0 THEN i END"
    database.execute(f"INSERT INTO t SELECT {values} FROM {numbers(database, ROWS)}")


def view(database: Database) -> None:
    parent(database)
    database.execute("CREATE VIEW v AS SELECT id, kind FROM t WHERE id <= 300")


def superuser(database: Database) -> None:
    """Another role owns the table and has put its own code on it."""
    parent(database)
    owner = f"owner_{database.name}"
    database.script(
        f"CREATE TABLE log (id integer); CREATE ROLE {owner}; GRANT CREATE, USAGE ON SCHEMA public TO {owner};"
        f"ALTER TABLE t OWNER TO {owner}; ALTER TABLE log OWNER TO {owner};"
        + TRIGGERS["postgresql"]
        + f"ALTER FUNCTION log_it OWNER TO {owner};"
    )


@dataclass(frozen=True)
class Situation:
    """`left`: queries and what each must give once the job was allowed and has run."""

    check: str
    families: tuple[str, ...]
    make: Callable[[Database], None]
    hint: str
    left: Mapping[str, int]
    verb: str = "purge"
    options: Mapping[str, object] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    """Other checks that must be allowed beside it."""


COUNT = "SELECT count(*) FROM "
GONE = {f"{COUNT}t": ROWS // 2, f"{COUNT}t WHERE kind = 1": 0}
SITUATIONS = {
    "no key": Situation("no-key", ("mariadb",), no_key, "--strategy limit", GONE),
    "a list of the table's own rows": Situation(
        "own-table", ALL, parent, "CREATE TABLE ids", {f"{COUNT}t": ROWS // 2},
        options={"where": "kind = 1 AND id IN (SELECT x.id FROM t x WHERE x.kind = 1)", "strategy": "key"},
    ),
    "another table read whole": Situation(
        "scan", ALL, scan_of_another, 'all of "listed"', {f"{COUNT}t": 301},
        options={
            "where": "EXISTS (SELECT 1 FROM listed WHERE listed.t_id = t.id)", "strategy": "key", "batch_size": 1,
        },
    ),
    "a key in another order": Situation(
        "scan", ("postgresql",), scan_by_another_order, "collation", {f"{COUNT}t WHERE n = 1": LARGE // 2},
        verb="backfill", options={"set": ("n = n + 1",), "batch_size": 50},
    ),
    "a child without an index": Situation(
        "fk-index", ("postgresql", "sqlite"), fk_index, "CREATE INDEX", GONE | {f"{COUNT}orders": CHILDREN}
    ),
    "children that go": Situation(
        "cascades", ALL, cascades, '"orders"',
        GONE | {f"{COUNT}orders": 600, f"{COUNT}positions": 600, f"{COUNT}notes WHERE t_id IS NULL": 600},
    ),
    "children that change": Situation(
        "cascades", ALL, cascades_on_update, '"named"', {f"{COUNT}named WHERE n > 10000": 300},
        verb="backfill", options={"set": ("n = n + 10000",)},
    ),
    "a trigger": Situation("triggers", ALL, triggers, "check what it does", GONE | {f"{COUNT}log": 300}),
    "a rule": Situation("triggers", ("postgresql",), rule, "check what it does", GONE | {f"{COUNT}log": 300}),
    "a key with NULLs": Situation(
        "nullable-key", ALL, nullable_key, "NOT NULL",
        {f"{COUNT}t": 360, f"{COUNT}t WHERE kind = 1": 60, f"{COUNT}t WHERE kind = 1 AND code IS NOT NULL": 0},
        options={"key": ("code",), "strategy": "key"},
    ),
    "a pair with NULLs": Situation(
        "nullable-key", ALL, nullable_pair, "NOT NULL",
        {f"{COUNT}t WHERE n = 1": 240, f"{COUNT}t WHERE n > 1": 0, f"{COUNT}t WHERE n = 1 AND code IS NULL": 0},
        verb="backfill", options={"key": ("a", "code"), "set": ("n = n + 1",)},
    ),
    "a view": Situation(
        "view", ("mariadb",), view, ": t", {f"{COUNT}t": ROWS - 150}, options={"table": "v", "strategy": "limit"}
    ),
    "code of a lesser role": Situation(
        "superuser", ("postgresql",), superuser, "owner", GONE | {f"{COUNT}log": 300}, also=("triggers",)
    ),
}  # fmt: skip
CASES = [(name, family) for name, situation in SITUATIONS.items() for family in situation.families]
