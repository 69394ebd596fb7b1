"""What tells which events were sent: by what the column can hold, whatever it is called."""

from pathlib import Path
from typing import NamedTuple

import pytest

from batchops.outbox.prepare import prepare_relay
from batchops.outbox.spec import RelaySpec
from batchops.spec.models import checked
from tests.conftest import NewDatabase
from tests.outbox.boxes import ID, delivered, relay
from tests.queue.jobs import here
from tests.services.database import FAMILIES, Database

pytestmark = pytest.mark.in_turn
EVERYWHERE = pytest.mark.parametrize("database", FAMILIES, indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest, new_database: NewDatabase) -> Database:
    return new_database(request.param)


def box(database: Database, sent: str, *values: str, name: str = "status", more: str = "") -> None:
    """An outbox whose column `name` is `sent`, with an event for each of `values` (SQL), a, b, c …"""
    columns = f"aggregate_id varchar(9), payload varchar(9), {name} {sent}{more}"
    database.execute(f"CREATE TABLE outbox (id {ID[database.backend]}, {columns})")
    for number, value in enumerate(values):
        database.execute(
            f"INSERT INTO outbox (aggregate_id, payload, {name}) VALUES ('o', '{'abcdef'[number]}', {value})"
        )


def bodies(path: Path) -> str:
    return "".join(line["body"] for line in delivered(path))


class Spoken(NamedTuple):
    """A column, its values, and what a relay with `args` then delivers and leaves in the column."""

    sent: str
    values: tuple[str, ...]
    args: tuple[str, ...]
    delivered: str
    after: tuple[object, ...]


def named(unsent: str, sent: str) -> tuple[str, ...]:
    """The flags for these values; several for unsent are parted by blanks."""
    return (*(arg for value in unsent.split() for arg in ("--unsent-value", value)), "--sent-value", sent)


SPOKEN = {
    "word": Spoken("varchar(20) NOT NULL DEFAULT 'PENDING'", ("'PENDING'", "'SENT'", "'FAILED'"),
                   named("PENDING", "SENT"), "a", ("SENT", "SENT", "FAILED")),
    "letter": Spoken("char(1) NOT NULL DEFAULT 'N'", ("'N'", "'Y'"), named("N", "Y"), "a", ("Y", "Y")),
    "two words for unsent": Spoken("varchar(9)", ("'NEW'", "'RETRY'", "NULL", "'OK'"), named("NEW RETRY NULL", "OK"),
                                   "abc", ("OK",) * 4),
    "three states": Spoken("smallint NOT NULL DEFAULT 0", ("0", "1", "2"), named("0", "1"), "a", (1, 1, 2)),
    "one that is unsent": Spoken("boolean NOT NULL", ("true", "false"), named("1", "0"), "a", (0, 0)),
    "sent is NULL": Spoken("varchar(9)", ("'todo'", "NULL"), named("todo", "NULL"), "a", (None, None)),
    "a flag of numbers": Spoken("smallint DEFAULT 0", ("0", "1", "NULL"), (), "ac", (1, 1, 1)),
    "a time as text": Spoken("varchar(40)", ("NULL", "'2026-01-01'"), ("--sent-as", "time"), "a", ()),
}  # fmt: skip


@pytest.mark.wide(2)
@EVERYWHERE
@pytest.mark.parametrize("case", SPOKEN)
def test_named_values_are_delivered_and_marked(database: Database, tmp_path: Path, case: str) -> None:
    spoken = SPOKEN[case]
    box(database, spoken.sent, *spoken.values)
    done = relay(database, f"file:{tmp_path}/out", "--sent", "status", *spoken.args)
    assert (done.code, bodies(tmp_path / "out")) == (0, spoken.delivered), done
    assert not spoken.after or tuple(database.column("SELECT status FROM outbox ORDER BY id")) == spoken.after
    again = relay(database, f"file:{tmp_path}/out", "--sent", "status", *spoken.args)
    assert (again.code, again.json()["rows"]) == (0, 0)


@pytest.mark.parametrize("bits", [8, pytest.param(1, marks=pytest.mark.full)])
def test_a_named_value_of_bits_is_that_number_and_not_its_letter(mariadb: Database, tmp_path: Path, bits: int) -> None:
    box(mariadb, f"bit({bits}) NOT NULL DEFAULT 0", "0", "1")
    done = relay(mariadb, f"file:{tmp_path}/out", "--sent", "status", *named("0", "1"))
    assert (done.code, bodies(tmp_path / "out")) == (0, "a"), done
    assert mariadb.column("SELECT status + 0 FROM outbox") == [1, 1]
    refused = relay(mariadb, f"file:{tmp_path}/out", "--sent", "status", *named("N", "Y"))
    assert (refused.code, "cannot hold it" in refused.err + refused.out) == (12, True), refused


@pytest.mark.parametrize("default", ["", " DEFAULT 'false'"])
def test_a_boolean_of_sqlite_that_holds_words_is_no_flag(sqlite: Database, tmp_path: Path, default: str) -> None:
    """Both count as false to NOT: what was sent would be sent again."""
    box(sqlite, f"boolean NOT NULL{default}", "'false'", "'true'")
    args = (f"file:{tmp_path}/out", "--sent", "status")
    assert relay(sqlite, *args).code == 12
    done = relay(sqlite, *args, *named("false", "true"))
    assert (done.code, bodies(tmp_path / "out")) == (0, "a"), done
    assert sqlite.column("SELECT status FROM outbox") == ["true", "true"]


def test_the_check_of_another_tables_column_counts_for_that_alone(mariadb: Database, tmp_path: Path) -> None:
    """MariaDB calls a column's check by the column's name."""
    mariadb.execute(
        "CREATE TABLE orders (id integer PRIMARY KEY, status varchar(9) CHECK (status IN ('OPEN', 'PAID')))"
    )
    box(mariadb, "varchar(9) CHECK (status IN ('NEW', 'SENT'))", "'NEW'")
    done = relay(mariadb, f"file:{tmp_path}/out", "--sent", "status", *named("NEW", "SENT"))
    assert (done.code, bodies(tmp_path / "out")) == (0, "a"), done


EPOCHS = {"seconds": 1, "milliseconds": 1_000, "microseconds": 1_000_000}


@EVERYWHERE
@pytest.mark.parametrize("unit", EPOCHS)
def test_a_time_since_1970_is_written_in_its_unit(database: Database, tmp_path: Path, unit: str) -> None:
    box(database, "bigint", "1700000000", "NULL", name="published_at")
    done = relay(database, f"file:{tmp_path}/out", "--sent-as", unit)
    assert (done.code, bodies(tmp_path / "out")) == (0, "b"), done
    written = database.scalar("SELECT published_at FROM outbox WHERE payload = 'b'")
    assert 1.7e9 < written / EPOCHS[unit] < 1e10
    replay = here("outbox", "replay", "outbox", "--url", database.url, "--to", f"file:{tmp_path}/again", "--json",
                  "--sent-as", unit, "--since", "1h")  # fmt: skip
    assert (replay.code, bodies(tmp_path / "again")) == (0, "b"), replay
    assert here("outbox", "check", "--url", database.url, "--sent-as", unit).code == 0


REFUSED = {
    "words": ("varchar(20) NOT NULL DEFAULT 'PENDING'", "'PENDING'"),
    "a letter": ("char(1) NOT NULL DEFAULT 'N'", "'N'"),
    "a large number": ("bigint", "NULL"),
    "a time in a number": ("bigint NOT NULL DEFAULT 0", "0"),
    "three states": ("smallint NOT NULL DEFAULT 0", "2"),
    "never NULL": ("timestamp NOT NULL DEFAULT '2000-01-01 00:00:00'", "'2000-01-01 00:00:00'"),
}


@EVERYWHERE
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_told_is_refused(database: Database, tmp_path: Path, case: str) -> None:
    sent, value = REFUSED[case]
    box(database, sent, value, name="sent_at")
    refused = relay(database, f"file:{tmp_path}/out")
    assert (refused.code, "--unsent-value" in refused.json()["error"]["hint"]) == (12, True), refused
    assert not (tmp_path / "out").exists()
    for verb in ("show", "check", "redrive"):
        args = ("--all",) if verb == "redrive" else ()
        assert here("outbox", verb, "--url", database.url, *args).code == 12


CANNOT = {
    "too long": ("varchar(4) NOT NULL DEFAULT 'new'", "'new'", ("new", "published")),
    "no number": ("smallint NOT NULL DEFAULT 0", "2", ("0", "done")),
    "against its check, sent": ("varchar(9) CHECK (status IN ('new', 'sent'))", "'new'", ("new", "done")),
    "against its check, unsent": ("varchar(9) CHECK (status IN ('new', 'sent'))", "'new'", ("pending", "sent")),
    "NULL": ("varchar(9) NOT NULL", "'new'", ("new", "NULL")),
}


@EVERYWHERE
@pytest.mark.parametrize("case", CANNOT)
def test_a_value_that_the_column_cannot_hold_is_refused(database: Database, tmp_path: Path, case: str) -> None:
    if case == "too long" and database.backend == "sqlite":
        pytest.skip("SQLite keeps no text to its length")
    sent, value, (unsent, done) = CANNOT[case]
    box(database, sent, value)
    args = ("--sent", "status", "--unsent-value", unsent, "--sent-value", done)
    refused = relay(database, f"file:{tmp_path}/out", *args)
    assert (refused.code, "cannot hold it" in refused.json()["error"]["message"]) == (12, True), refused


def test_a_label_that_an_enum_has_not(postgresql: Database, mariadb: Database, tmp_path: Path) -> None:
    postgresql.execute("CREATE TYPE state AS ENUM ('new', 'sent')")
    for database, type_ in ((postgresql, "state"), (mariadb, "enum('new','sent')")):
        box(database, f"{type_} NOT NULL DEFAULT 'new'", "'new'")
        wrong = relay(
            database, f"file:{tmp_path}/out", "--sent", "status", "--unsent-value", "new", "--sent-value", "done"
        )
        assert (wrong.code, "new, sent" in wrong.json()["error"]["message"]) == (12, True), wrong
        right = relay(
            database, f"file:{tmp_path}/out", "--sent", "status", "--unsent-value", "new", "--sent-value", "sent"
        )
        assert (right.code, right.json()["rows"], database.scalar("SELECT status FROM outbox")) == (0, 1, "sent"), right


def test_a_mark_that_the_table_refuses_or_undoes_delivers_nothing(postgresql: Database, tmp_path: Path) -> None:
    """Only an UPDATE shows what a trigger, or a check over several columns, says of it."""
    box(postgresql, "varchar(9)", "'new'", more=", CHECK (status <> 'done' OR payload = 'x')")
    args = ("--sent", "status", "--unsent-value", "new", "--sent-value", "done")
    refused = relay(postgresql, f"file:{tmp_path}/out", *args)
    assert (refused.code, "refuses the mark" in refused.json()["error"]["message"]) == (12, True), refused
    undone = "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    postgresql.execute(undone)
    postgresql.execute("CREATE TRIGGER no BEFORE UPDATE OR DELETE ON outbox FOR EACH ROW EXECUTE FUNCTION no()")
    for then in ("mark", "delete"):
        kept = relay(postgresql, f"file:{tmp_path}/out", *args, "--after-delivery", then)
        assert (kept.code, "still counts as unsent" in kept.json()["error"]["message"]) == (12, True), kept
    assert delivered(tmp_path / "out") == []
    assert postgresql.scalar("SELECT status FROM outbox") == "new"


def test_a_generated_column_is_not_marked(postgresql: Database, tmp_path: Path) -> None:
    generated = "boolean GENERATED ALWAYS AS (done IS NOT NULL) STORED"
    box(postgresql, "timestamptz", "NULL", name="done", more=f", sent {generated}")
    refused = relay(postgresql, f"file:{tmp_path}/out")
    assert (refused.code, "generated" in refused.json()["error"]["message"]) == (12, True), refused
    assert relay(postgresql, f"file:{tmp_path}/out", "--sent", "done").code == 0


@EVERYWHERE
def test_a_status_with_a_time_beside_it_tells_when(database: Database, tmp_path: Path) -> None:
    box(database, "varchar(9) NOT NULL DEFAULT 'NEW'", "'NEW'", "'NEW'", "'FAILED'", more=", completed timestamp NULL")
    args = ("--sent", "status", "--unsent-value", "NEW", "--sent-value", "OK", "--sent-time", "completed")
    done = relay(database, f"file:{tmp_path}/out", *args)
    assert (done.code, bodies(tmp_path / "out")) == (0, "ab"), done
    assert "FAILED: neither unsent nor sent" in done.err
    assert database.scalar("SELECT count(*) FROM outbox WHERE completed IS NOT NULL") == 2
    assert here("outbox", "check", "--url", database.url, *args).code == 0
    again = here("outbox", "replay", "outbox", "--url", database.url, "--to", f"file:{tmp_path}/again", "--json",
                 "--since", "1h", *args)  # fmt: skip
    assert bodies(tmp_path / "again") == "ab", again
    move = "CREATE TABLE sent_events AS SELECT * FROM outbox WHERE 1 = 0"
    database.execute(move)
    database.execute("UPDATE outbox SET status = 'NEW' WHERE payload = 'a'")
    assert relay(database, f"file:{tmp_path}/out", *args, "--after-delivery", "move:sent_events").code == 0
    assert database.rows("SELECT status, completed IS NOT NULL FROM sent_events") == [("OK", True)]


@EVERYWHERE
@pytest.mark.parametrize("then", ["mark", "delete", "move:sent_events"])
def test_what_others_changed_meanwhile_stays(database: Database, then: str) -> None:
    box(database, "varchar(9)", "'new'", "'new'")
    database.execute("CREATE TABLE sent_events AS SELECT * FROM outbox WHERE 1 = 0")
    options = {"table": "outbox", "to": "-", "url": database.url, "sent": "status", "unsent_value": ["new"],
               "sent_value": "sent", "after_delivery": then}  # fmt: skip
    with prepare_relay(checked(RelaySpec, options), {}) as job:
        database.execute("UPDATE outbox SET status = 'void' WHERE payload = 'b'")
        with job.database.transaction() as connection:
            job.after_delivery(connection, [1, 2])
    left = [("a", "sent"), ("b", "void")] if then == "mark" else [("b", "void")]
    assert database.rows("SELECT payload, status FROM outbox ORDER BY id") == left
    assert database.rows("SELECT payload, status FROM sent_events") == ([("a", "sent")] if "move" in then else [])


def far_from_utc(database: Database) -> str:
    """Let every session be hours from UTC; how many seconds `sent_at` lies from it."""
    if database.backend == "postgresql":
        database.execute(f"ALTER DATABASE {database.name} SET timezone = 'Asia/Kolkata'")
        return "abs(extract(epoch FROM sent_at - timezone('UTC', now())))"
    database.execute("SET GLOBAL time_zone = '+05:30'")
    return "abs(timestampdiff(second, sent_at, utc_timestamp()))"


@pytest.mark.parametrize(
    ("name", "type_"), [("postgresql", "timestamp"), pytest.param("mariadb", "datetime", marks=pytest.mark.full)]
)
def test_a_time_without_a_zone_is_in_utc_whatever_the_session_says(
    request: pytest.FixtureRequest, new_database: NewDatabase, tmp_path: Path, name: str, type_: str
) -> None:
    """As Rails, Django, Entity Framework and Prisma keep it; and `--since` reads it so."""
    at = request.getfixturevalue(f"private_{name}").server if name == "mariadb" else None
    database = new_database(name, at=at)
    off = far_from_utc(database)
    box(database, type_, "NULL", name="sent_at")
    assert relay(database, f"file:{tmp_path}/out").code == 0
    assert database.scalar(f"SELECT {off} FROM outbox") < 3_600
    to = ("--url", database.url, "--to", "file:/dev/null", "--json")
    for since, rows in (("1h", 1), ("2999-01-01", 0)):
        replay = here("outbox", "replay", "outbox", *to, "--since", since)
        assert replay.json()["rows"] == rows, replay


def test_an_index_over_the_unsent_events_is_used_for_a_named_value(postgresql: Database, tmp_path: Path) -> None:
    box(postgresql, "varchar(9) NOT NULL")
    postgresql.execute(
        "INSERT INTO outbox (aggregate_id, payload, status) SELECT n % 7, 'x', 'SENT' FROM generate_series(1, 20000) n"
    )
    postgresql.execute("INSERT INTO outbox (aggregate_id, payload, status) VALUES ('o', 'new', 'PENDING')")
    postgresql.execute("CREATE INDEX unsent ON outbox (id) WHERE status = 'PENDING'")
    postgresql.execute("ANALYZE outbox")
    assert relay(postgresql, f"file:{tmp_path}/out", "--sent", "status", *named("PENDING", "SENT")).json()["rows"] == 1
    used = "SELECT idx_scan > 0 FROM pg_stat_user_indexes WHERE indexrelname = 'unsent'"
    assert postgresql.scalar("SELECT pg_stat_force_next_flush() IS NULL OR true") in (True, None)
    assert postgresql.scalar(used)


def test_what_was_said_wrongly(sqlite: Database, tmp_path: Path) -> None:
    box(sqlite, "text NOT NULL DEFAULT 'new'", "'new'")
    for args, words in (
        (("--sent-value", "x"), "needs --unsent-value"),
        (("--unsent-value", "new"), "it is unclear"),
        ((*named("PENDING", "SENT"), "--sent-as", "time"), "exclude each other"),
        (named("new", "new"), "both"),
        (("--sent-as", "seconds"), "is TEXT"),
        (("--sent-time", "payload"), "not a time"),
    ):
        wrong = relay(sqlite, f"file:{tmp_path}/out", "--sent", "status", *args)
        assert (wrong.code in (2, 12), words in wrong.out) == (True, True), (args, wrong)


def test_in_a_recipe_and_from_the_library(sqlite: Database, tmp_path: Path) -> None:
    import batchops

    box(sqlite, "text NOT NULL DEFAULT 'PENDING'", "'PENDING'")
    recipe = tmp_path / "jobs.toml"
    recipe.write_text(
        f'[job.out]\nurl = "{sqlite.url}"\nverb = "relay"\ntable = "outbox"\nto = "file:{tmp_path}/out"\n'
        'sent = "status"\nunsent-value = "PENDING"\nsent-value = "SENT"\n'
    )
    assert here("run", str(recipe), "-y").code == 0
    assert sqlite.scalar("SELECT status FROM outbox") == "SENT"
    sqlite.execute("UPDATE outbox SET status = 'PENDING'")
    end = batchops.relay(
        table="outbox",
        url=sqlite.url,
        to=f"file:{tmp_path}/out",
        sent="status",
        unsent_value=["PENDING"],
        sent_value="SENT",
    )
    assert (end.exit, end.rows, bodies(tmp_path / "out")) == (0, 1, "aa")
