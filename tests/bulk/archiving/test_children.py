"""Rows of several tables go to one folder: each as it was, and database and archive together are what there was."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import batchops as library
from batchops.errors import RefusedError
from batchops.events import Committed, Finished
from tests.bulk.archiving.archived import spools_in, texts_in
from tests.bulk.children import shop
from tests.bulk.children.generated import draw
from tests.bulk.children.oracle import Refers, Rows, gone, left, read
from tests.bulk.children.test_writers import adds, beside, noted, turns
from tests.bulk.plan.situations import ALL, numbers
from tests.command import here
from tests.conftest import NewDatabase
from tests.services.database import Database
from tests.waiting import until

pytestmark = pytest.mark.in_turn
FULL = pytest.mark.full


def archive(database: Database, folder: Path, **more: Any) -> Finished:
    """Of the shop, with its reviews' visits."""
    return library.archive(**shop.job(database, to=f"{folder}/", **({"format": "jsonl", "batch_size": 50} | more)))


def sorted_texts(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[str]]:
    """The rows by table, comparable whatever their order; tables without any are left out."""
    return {
        table: sorted(
            json.dumps({name: None if value is None else str(value) for name, value in row.items()}) for row in some
        )
        for table, some in rows.items()
        if some
    }


def compared(before: Rows, database: Database, folder: Path, root: str, edges: Sequence[Refers], gone_if: Any) -> None:
    """What the rules leave is in the database; what they take is in the archive, and so are values set to NULL."""
    compared_with(before, database, texts_in(folder), texts_in(folder, nulled=True), root, edges, gone_if)


def compared_with(
    before: Rows, database: Database, archived: Mapping[str, Any], nulled: Mapping[str, Any], root: str,
    edges: Sequence[Refers], gone_if: Any,
) -> None:  # fmt: skip
    assert sorted_texts(with_values(archived, nulled)) == sorted_texts(gone(before, root, gone_if, edges))
    columns = {table: list(rows[0]) if rows else [] for table, rows in before.items()}
    there = read(database, {table: names for table, names in columns.items() if names})
    assert there == {table: rows for table, rows in left(before, root, gone_if, edges).items() if columns[table]}
    every = {table: [*rows, *archived.get(table, [])] for table, rows in there.items()}
    assert sorted_texts(with_values(every, nulled)) == sorted_texts(before)


def with_values(rows: Mapping[str, Any], nulled: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The rows with the values that the archive has set to NULL in them; all as text."""
    found = {
        table: [{name: None if value is None else str(value) for name, value in row.items()} for row in some]
        for table, some in rows.items()
    }
    for table, values in nulled.items():
        for value in values:
            key = {name: text for name, text in value.items() if name in ("id", "part")}
            for row in found.get(table, []):
                if key.items() <= row.items():
                    row.update({name: text for name, text in value.items() if row[name] is None})
    return found


@pytest.mark.wide(2)
@pytest.mark.parametrize("format", ["jsonl", "parquet", pytest.param("csv", marks=FULL)])
def test_rows_of_all_tables_are_archived(database: Database, tmp_path: Path, format: str) -> None:
    """One of the families needs several commits."""
    shop.make(database, customers=10)
    shop.add_items(database, order=2, count=300)
    before = shop.seen(database)
    finished = archive(database, tmp_path / "a", format=format)
    assert (finished.reason, finished.rows) == ("done", 5), finished
    compared(before, database, tmp_path / "a", "customers", shop.EDGES, lambda row: row["gone"] == 1)
    assert not spools_in(tmp_path / "a")
    (manifest,) = (tmp_path / "a" / "manifests").glob("*.json")
    listed = json.loads(manifest.read_text())
    assert listed["version"] == 2  # so that no batchops takes values of rows that stayed for rows
    assert {one["table"]: one.get("nulled") for one in listed["tables"]} == {
        "customers": None, "orders": None, "items": None, "reviews": None, "visits": ["customer_id"],
    }  # fmt: skip
    assert {"edge": "visits.customer_id -> customers.id", "action": "null"} in listed["children"]
    verified = here("archive", "verify", tmp_path / "a", "--against", database.url)
    assert (verified.code, "visits" in verified.out) == (0, False), verified
    shown = here("archive", "list", tmp_path / "a")
    assert "visits (customer_id of rows that stayed)" in shown.out
    assert "set to NULL" in here("archive", "show", tmp_path / "a").out
    restored = library.restore(destination=tmp_path / "a", url=database.url, batch_size=20)
    assert (restored.reason, restored.rows) == ("done", listed["rows"]), restored
    assert shop.seen(database) == before
    assert library.restore(destination=tmp_path / "a", url=database.url).reason == "already-done"


@pytest.mark.parametrize("again", [True, False])
def test_a_value_that_is_set_to_null_twice(database: Database, tmp_path: Path, again: bool) -> None:
    """Another session refers to a row that goes later: a restore gives back what the row had last."""
    shop.make(database, customers=10)
    before = shop.seen(database)

    def move(event: object) -> None:
        if not (
            isinstance(event, Committed) and database.scalar("SELECT customer_id FROM visits WHERE id = 1") is None
        ):
            return
        for later in (5, 9) if again else (5,):
            if database.scalar(f"SELECT count(*) FROM customers WHERE id = {later}"):
                database.execute(f"UPDATE visits SET customer_id = {later} WHERE id = 1")
                moved.append(later)
                break

    moved = list[int]()
    finished = library.archive(**shop.job(database, to=f"{tmp_path}/", format="jsonl", batch_size=40), on_event=move)
    assert finished.reason == "done", finished
    values = [row["customer_id"] for row in texts_in(tmp_path, nulled=True)["visits"] if row["id"] == "1"]
    assert values == ["1", *map(str, moved)]
    assert len(values) == 2 + again
    restored = library.restore(destination=tmp_path, url=database.url, batch_size=2)
    assert (restored.reason, restored.rejected) == ("done", 0), restored
    after = shop.seen(database)
    assert {row["id"]: row["customer_id"] for row in after["visits"]}[1] == moved[-1]
    assert {name: rows for name, rows in after.items() if name != "visits"} == {
        name: rows for name, rows in before.items() if name != "visits"
    }


def archived_graph(name: str, new_database: NewDatabase, folder: Path, seed: int, size: int) -> None:
    """A graph drawn at random, with circles and references of tables to themselves."""
    drawn, database = draw(seed, tables=8, rows=30), new_database(name)
    drawn.make(database)
    before = read(database, drawn.tables)
    edges, chosen = drawn.edges, list[str]()
    if seed % 4 == 1:
        edges = [replace(edge, action="delete") for edge in drawn.edges]
        chosen = [f"{edge.child}.{_columns(edge)} = delete" for edge in drawn.edges if edge.action == "null"]
    finished = library.archive(
        url=database.url, table="t0", where="gone = 1", with_children=True, batch_size=size, allow=["fk-index"],
        to=f"{folder}/", format="jsonl", edge=chosen,
    )  # fmt: skip
    assert finished.reason == "done", finished
    compared(before, database, folder, "t0", edges, lambda row: row["gone"] == 1)
    restored = library.restore(destination=folder, url=database.url, batch_size=size)
    assert restored.reason == "done", restored
    assert read(database, drawn.tables) == before


def _columns(edge: Refers) -> str:
    return edge.columns[0] if len(edge.columns) == 1 else f"({', '.join(edge.columns)})"


@pytest.mark.wide(1)
@pytest.mark.parametrize("database", ALL)
@pytest.mark.parametrize("seed", range(3))
def test_what_is_archived_is_what_there_was(
    database: str, new_database: NewDatabase, tmp_path: Path, seed: int
) -> None:
    archived_graph(database, new_database, tmp_path, seed, size=(5, 40, 1000)[seed % 3])


@pytest.mark.full
@pytest.mark.parametrize("database", ALL)
@pytest.mark.parametrize("seed", range(3, 20))
def test_more_graphs(database: str, new_database: NewDatabase, tmp_path: Path, seed: int) -> None:
    archived_graph(database, new_database, tmp_path, seed, size=(5, 40, 1000)[seed % 3])


def test_a_circle_larger_than_a_batch_stays_whole(new_database: NewDatabase, tmp_path: Path) -> None:
    """A purge breaks it in a commit of its own; the value that it sets to NULL there could not be archived."""
    database = new_database("postgresql")
    database.script("CREATE TABLE t (id integer PRIMARY KEY, gone integer, t_id integer)")
    database.execute(
        "INSERT INTO t SELECT i, CASE WHEN i = 7 THEN 1 ELSE 0 END, i % 30 + 1 FROM generate_series(1, 30) i"
    )
    database.script("ALTER TABLE t ADD FOREIGN KEY (t_id) REFERENCES t; CREATE INDEX ON t (t_id)")
    before = database.rows("SELECT * FROM t ORDER BY id")
    more = {"url": database.url, "table": "t", "where": "gone = 1", "with_children": True, "to": f"{tmp_path}/a/"}
    finished = library.archive(**more, batch_size=10, format="jsonl")
    assert (finished.reason, finished.rejected) == ("incomplete", 1), finished
    assert "larger than a batch" in finished.rejected_causes[0].reason
    assert database.rows("SELECT * FROM t ORDER BY id") == before
    again = library.archive(**more, batch_size=100, format="jsonl")
    assert (again.reason, again.rows) == ("done", 30), again
    archived = [(row["id"], row["t_id"]) for row in texts_in(tmp_path / "a")["t"]]
    assert sorted(archived) == sorted((str(row[0]), str(row[2])) for row in before)


def test_a_value_that_a_file_cannot_hold_keeps_its_parents(new_database: NewDatabase, tmp_path: Path) -> None:
    database = new_database("postgresql")
    shop.make(database, customers=10)
    database.execute("ALTER TABLE items ADD COLUMN at timestamp DEFAULT '2024-01-01'")
    database.execute("UPDATE items SET at = 'infinity' WHERE order_id = 2")
    before = shop.seen(database)
    finished = archive(database, tmp_path, format="parquet", batch_size=1_000)
    assert (finished.reason, finished.rows, finished.rejected) == ("incomplete", 4, 1), finished
    (cause,) = finished.rejected_causes
    assert "items.at: " in cause.reason
    assert cause.names == ("id=3",)
    assert shop.seen(database) == shop.wanted(before, lambda row: row["gone"] == 1 and row["id"] != 3)
    archived = texts_in(tmp_path)
    assert len(archived["items"]) == len(before["items"]) - len(shop.seen(database)["items"])


class TestRefused:
    def refused(self, database: Database, to: str, *more: str, code: int = 12) -> str:
        before = shop.seen(database)
        words = ("archive", "customers", "--where", shop.GONE, "--with-children", "--to", to, "--url", database.url)
        done = here(*words, "-y", *more)
        assert done.code == code, done
        assert shop.seen(database) == before
        return done.err

    @pytest.fixture
    def filled(self, sqlite: Database) -> Database:
        shop.make(sqlite, customers=4)
        return sqlite

    def test_one_table_for_rows_of_several(self, filled: Database) -> None:
        assert "rows of several tables" in self.refused(filled, "old", code=2)
        assert "rows of several tables" in self.refused(filled, "sqlite:///other.db#customers", code=2)

    def test_copies_and_some_columns(self, filled: Database, tmp_path: Path) -> None:
        assert "--keep" in self.refused(filled, f"{tmp_path}/", "--keep", code=2)
        assert "--columns" in self.refused(filled, f"{tmp_path}/", "--columns", "id", code=2)

    def test_rows_that_may_not_be_locked(self, new_database: NewDatabase, tmp_path: Path) -> None:
        database = new_database("postgresql")
        shop.make(database, customers=4)
        name = f"role_{database.name}"[-30:]
        database.script(f"CREATE ROLE {name} LOGIN PASSWORD 'right'")
        try:
            database.script(f"GRANT SELECT, INSERT, DELETE ON ALL TABLES IN SCHEMA public TO {name}")
            url = sa.make_url(database.url).set(username=name, password="right").render_as_string(hide_password=False)
            words = ("archive", "customers", "--where", shop.GONE, "--with-children", "--url", url, "-n")
            done = here(*words, "--edge", "visits.customer_id = delete", "--to", f"{tmp_path}/")
        finally:
            database.script(f"DROP OWNED BY {name}; DROP ROLE {name}")
        assert done.code == 12, done
        assert 'may not lock rows of "orders"' in done.out
        assert 'may not lock rows of "reviews"' not in done.out


def test_a_reference_of_rows_without_a_key_is_set_to_null_and_not_archived(database: Database, tmp_path: Path) -> None:
    database.script(
        "CREATE TABLE p (id integer NOT NULL PRIMARY KEY);"
        "CREATE TABLE k (p integer, FOREIGN KEY (p) REFERENCES p (id) ON DELETE SET NULL)"
    )
    database.execute(f"INSERT INTO p SELECT i FROM {numbers(database, 9)}")
    database.execute("INSERT INTO k SELECT id FROM p")
    done = library.archive(
        url=database.url, table="p", where="id < 6", with_children=True, to=f"{tmp_path}/a/", format="jsonl"
    )
    assert (done.reason, done.rows) == ("done", 5), done
    assert sorted(map(str, database.column("SELECT p FROM k"))) == ["6", "7", "8", "9", *["None"] * 5]
    assert texts_in(tmp_path / "a", nulled=True) == {}


@pytest.mark.in_turn
@pytest.mark.parametrize("to", ["folder", "table"])
def test_a_plain_archive_whose_deletes_set_references_of_later_rows_to_null_is_refused(
    database: Database, tmp_path: Path, to: str
) -> None:
    """With children, the rows keep their references in the archive."""
    database.script(
        "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, gone integer NOT NULL, p integer,"
        " FOREIGN KEY (p) REFERENCES t (id) ON DELETE SET NULL); CREATE INDEX t_p ON t (p);"
        "CREATE TABLE old (id integer NOT NULL PRIMARY KEY, gone integer NOT NULL, p integer)"
    )
    database.insert("t", ("id", "gone", "p"), [(1, 1, None), (2, 0, 1), (3, 1, 1), (4, 1, 3)])
    job: dict[str, Any] = {"url": database.url, "table": "t", "batch_size": 1, "allow": ["cascades"]}
    place = f"{tmp_path}/a/" if to == "folder" else "old"
    with pytest.raises(RefusedError, match="would not have their values"):
        library.archive(**job, where="gone = 1", to=place)
    assert library.archive(**job, where="id = 4", to=place).exit == 0, "3, to which it refers, stays"
    if to == "table":
        done = library.archive(**job, where="gone = 1", to=place, columns=["id", "gone"])
        assert (done.exit, database.column("SELECT id FROM old ORDER BY id")) == (0, [1, 3, 4])
    else:
        done = library.archive(**job, where="gone = 1", to=place, with_children=True)
        assert library.restore(destination=tmp_path / "a", url=database.url).exit == done.exit == 0
        assert database.rows("SELECT * FROM t ORDER BY id") == [(1, 1, None), (2, 0, 1), (3, 1, 1), (4, 1, 3)]


def test_a_plain_archive_whose_deletes_delete_later_rows_is_refused(database: Database, tmp_path: Path) -> None:
    """They would be in no batch, and so in no archive."""
    database.script(
        "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, gone integer NOT NULL, p integer,"
        " FOREIGN KEY (p) REFERENCES t (id) ON DELETE CASCADE); CREATE INDEX t_p ON t (p)"
    )
    database.insert("t", ("id", "gone", "p"), [(1, 1, None), (2, 0, 1), (3, 1, 1)])
    job: dict[str, Any] = {"url": database.url, "table": "t", "batch_size": 1, "allow": ["cascades"]}
    job |= {"where": "gone = 1", "to": f"{tmp_path}/a/"}
    for columns in (None, ["id"]):
        with pytest.raises(RefusedError, match="would not be archived"):
            library.archive(**job, columns=columns)
    done = library.archive(**job, with_children=True)
    assert library.restore(destination=tmp_path / "a", url=database.url).rows == done.rows == 3
    assert database.rows("SELECT * FROM t ORDER BY id") == [(1, 1, None), (2, 0, 1), (3, 1, 1)]


def test_in_a_recipe(sqlite: Database, tmp_path: Path) -> None:
    shop.make(sqlite, customers=10)
    before = shop.seen(sqlite)
    (tmp_path / "job.toml").write_text(
        f"""
        [job.old]
        verb = "archive"
        url = "{sqlite.url}"
        table = "customers"
        where = "{shop.GONE}"
        to = "{tmp_path}/a/"
        format = "jsonl"
        with-children = true
        stop-at = ["visits"]
        """
    )
    words = ("run", str(tmp_path / "job.toml"))
    planned = here(*words, "-n", "--json")
    (plan,) = (job["plan"] for job in planned.json()["jobs"])
    assert plan["children"]["total"] == "up to 270 rows of 5 tables"
    assert not (tmp_path / "a").exists()
    done = here(*words, "-y", "--json")
    assert done.code == 3, done
    assert shop.seen(sqlite) == before
    sqlite.execute("DELETE FROM visits WHERE customer_id <> 3")
    before = shop.seen(sqlite)
    assert here(*words, "-y").code == 3
    compared(before, sqlite, tmp_path / "a", "customers", shop.EDGES, lambda row: row["gone"] == 1 and row["id"] != 3)
    assert {json.loads(one.read_text())["version"] for one in (tmp_path / "a" / "manifests").iterdir()} == {1}


@pytest.mark.parametrize("name", ["postgresql", "sqlite"])
def test_rows_without_a_key_in_a_circle(name: str, new_database: NewDatabase, tmp_path: Path) -> None:
    """PostgreSQL's ctid is another once a reference of the row was set to NULL: the row itself would have stayed."""
    database, columns = new_database(name), {"r": ("id", "gone"), "a": ("id", "b_id"), "b": ("id", "r_id", "a_id")}
    later = name == "postgresql"
    database.script("CREATE TABLE r (id integer NOT NULL PRIMARY KEY, gone integer)")
    database.script(f"CREATE TABLE a (id integer UNIQUE, b_id integer{'' if later else ' REFERENCES b (id)'})")
    database.script(
        "CREATE TABLE b (id integer NOT NULL PRIMARY KEY, r_id integer REFERENCES r (id), "
        "a_id integer NOT NULL REFERENCES a (id))"
    )
    database.script("INSERT INTO r VALUES (1, 1), (2, 0)")
    database.script("INSERT INTO a VALUES (1, NULL), (2, NULL)")
    database.script("INSERT INTO b VALUES (1, 1, 1), (2, 2, 2)")
    database.execute("UPDATE a SET b_id = id")
    if later:
        database.script("ALTER TABLE a ADD FOREIGN KEY (b_id) REFERENCES b (id)")
    before = read(database, columns)
    job = {"url": database.url, "table": "r", "where": "gone = 1", "with_children": True, "to": f"{tmp_path}/"}
    if later:
        for verb in (library.archive, library.purge):
            with pytest.raises(RefusedError, match='"a" has no primary key'):
                verb(**{name: job[name] for name in job if verb is library.archive or name != "to"})  # type: ignore[operator]
        assert read(database, columns) == before
        return
    finished = library.archive(**job, format="jsonl")
    assert finished.reason == "done", finished
    assert {table: len(rows) for table, rows in read(database, columns).items()} == {"r": 1, "a": 1, "b": 1}
    assert {table: len(rows) for table, rows in texts_in(tmp_path).items()} == {"r": 1, "a": 1, "b": 1}


def test_writers_all_the_while(database: Database, tmp_path: Path) -> None:
    """Whatever was in a table at any time is in it or in the archive, once."""
    customers = 30
    shop.make(database, customers)
    shop.add_items(database, order=2, count=300)
    every = {table: {row["id"] for row in rows} for table, rows in shop.seen(database).items()}
    adding, added = noted(adds(database, customers))
    with beside(adding, turns(database, customers)):
        until(lambda: len(added["orders"]) > 1)
        for _ in range(2):
            finished = archive(database, tmp_path, batch_size=40, retry_timeout="60s")
            assert finished.reason in ("done", "incomplete"), finished
    archived = texts_in(tmp_path)
    there = shop.seen(database)
    assert not shop.lost(database)
    for table in every:
        found = [row["id"] for row in there[table]] + [int(row["id"] or 0) for row in archived.get(table, [])]
        assert sorted(found) == sorted([*every[table], *added.get(table, [])])
    assert here("archive", "verify", tmp_path).code == 0


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_a_limit_of_parents_leaves_room_for_their_circles(new_database: NewDatabase, tmp_path: Path, name: str) -> None:
    """A topic names its first post: the last topic of --max-rows, and all behind it, did not fit a batch of one row."""
    database = new_database(name)
    database.script("""
        CREATE TABLE topics (id integer NOT NULL PRIMARY KEY, first_id integer);
        CREATE TABLE posts (id integer NOT NULL PRIMARY KEY, topic_id integer NOT NULL,
            FOREIGN KEY (topic_id) REFERENCES topics (id));
        CREATE INDEX posts_topic ON posts (topic_id);
        CREATE INDEX topics_first ON topics (first_id)
    """)
    database.execute(f"INSERT INTO topics SELECT i, 4 * i FROM {numbers(database, 20)}")
    database.execute(f"INSERT INTO posts SELECT i, CASE WHEN i < 4 THEN 20 ELSE i / 4 END FROM {numbers(database, 80)}")
    database.execute("UPDATE posts SET topic_id = 20 WHERE topic_id > 20")
    database.script("ALTER TABLE topics ADD FOREIGN KEY (first_id) REFERENCES posts (id)")
    more = {"url": database.url, "table": "topics", "all_rows": True, "with_children": True, "format": "jsonl"}
    finished = library.archive(**more, to=f"{tmp_path}/a/", batch_size=10, max_rows=7)
    assert (finished.reason, finished.rows, finished.rejected) == ("max-rows", 7, 0), finished
    assert database.scalar("SELECT count(*) FROM topics") == 13
    few = library.archive(**more, to=f"{tmp_path}/a/", batch_size=10, max_total=14)
    assert (few.reason, few.rejected, few.rows > 0) == ("max-total", 0, True), few
    finished = library.archive(**more, to=f"{tmp_path}/a/", batch_size=10)
    assert (finished.reason, few.rows + finished.rows) == ("done", 13), finished
    archived = texts_in(tmp_path / "a")
    assert sorted(int(row["first_id"]) for row in archived["topics"]) == [4 * i for i in range(1, 21)]
    assert sorted(int(row["id"]) for row in archived["posts"]) == [*range(1, 81)]


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_a_circle_behind_other_rows_of_its_batch(new_database: NewDatabase, tmp_path: Path, name: str) -> None:
    """What the transaction has deleted already leaves too little room for it; the next one has all of it."""
    database = new_database(name)
    database.script("""
        CREATE TABLE users (id integer NOT NULL PRIMARY KEY);
        CREATE TABLE access (id integer NOT NULL PRIMARY KEY, user_id integer NOT NULL,
            FOREIGN KEY (user_id) REFERENCES users (id));
        CREATE TABLE tickets (id integer NOT NULL PRIMARY KEY, user_id integer NOT NULL, last_id integer,
            FOREIGN KEY (user_id) REFERENCES users (id));
        CREATE TABLE articles (id integer NOT NULL PRIMARY KEY, ticket_id integer NOT NULL, up integer,
            FOREIGN KEY (ticket_id) REFERENCES tickets (id), FOREIGN KEY (up) REFERENCES articles (id));
        CREATE INDEX access_user ON access (user_id);
        CREATE INDEX t_user ON tickets (user_id);
        CREATE INDEX t_last ON tickets (last_id);
        CREATE INDEX a_ticket ON articles (ticket_id);
        CREATE INDEX a_up ON articles (up)
    """)
    database.execute(f"INSERT INTO users SELECT i FROM {numbers(database, 4)}")
    database.execute(f"INSERT INTO tickets SELECT i, 1 + i % 4, NULL FROM {numbers(database, 20)}")
    database.execute(f"INSERT INTO access SELECT i, 1 + i % 4 FROM {numbers(database, 12)}")
    up = "CASE WHEN i > 20 THEN i - 20 END"  # the last of a line is the ticket's last one: none of them goes alone
    database.execute(f"INSERT INTO articles SELECT i, 1 + i % 20, {up} FROM {numbers(database, 80)} ORDER BY i")
    database.execute("UPDATE tickets SET last_id = (SELECT max(id) FROM articles AS a WHERE a.ticket_id = tickets.id)")
    database.script("ALTER TABLE tickets ADD FOREIGN KEY (last_id) REFERENCES articles (id)")
    more = {"url": database.url, "table": "users", "all_rows": True, "with_children": True, "format": "jsonl"}
    finished = library.archive(**more, to=f"{tmp_path}/a/", batch_size=7)
    assert (finished.reason, finished.rows, finished.rejected) == ("done", 4, 0), finished
    archived = {table: len(rows) for table, rows in texts_in(tmp_path / "a").items()}
    assert archived == {"users": 4, "access": 12, "tickets": 20, "articles": 80}
