"""`:name` in a condition or an expression is a value, whatever stands in it."""

import time
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import batchops
from batchops.db.literals import Value
from batchops.errors import UsageError
from tests.figures import Figures
from tests.services.database import Database
from tests.services.private import Private

pytestmark = pytest.mark.in_turn

HOSTILE = (
    "x' OR '1'='1", "'; DROP TABLE canary; --", "\\' OR 1=1 -- ", "a\\", "\\", "'", "''", '"', "`x`", "%s %(n)s %%",
    ":n ::int", "?", "$1 $$x$$", "E'\\x27'", "-- x", "/* x */", "#", "", "\n\t", "ünï \U0001f600", "NULL", "x" * 300,
)  # fmt: skip
ODD = "'\"\\`%:;-#/*$?=() \nabE\u00e9\U0001f600"
AGO = {
    "postgresql": "current_timestamp - :age",
    "mysql": "current_timestamp - :age",
    "sqlite": "datetime('now', '-' || :age)",
}


@pytest.fixture
def notes(database: Database) -> Database:
    """A note a row, and a table that nobody may touch."""
    database.execute("CREATE TABLE notes (id integer PRIMARY KEY, note varchar(400), tag integer)")
    database.execute("CREATE TABLE canary (id integer)")
    return database


def filled(notes: Database, texts: tuple[str, ...]) -> None:
    notes.execute("DELETE FROM notes")
    notes.insert("notes", ("id", "note"), list(enumerate(texts)))


def tagged(notes: Database, texts: tuple[str, ...]) -> list[Any]:
    """One backfill that finds each text by its value, and numbers it; in order of the rows."""
    cases = " ".join(f"WHEN note = :p{n} THEN {n}" for n, _ in enumerate(texts))
    params: Mapping[str, Value] = {f"p{n}": text for n, text in enumerate(texts)}
    ended = batchops.backfill(
        url=notes.url, table="notes", where="note IS NOT NULL", set=f"tag = CASE {cases} ELSE -1 END", params=params,
        ledger="none",
    )  # fmt: skip
    assert (ended.reason, ended.error) == ("done", None)
    return notes.column("SELECT tag FROM notes ORDER BY id")


def test_hostile_texts_stay_values(notes: Database) -> None:
    filled(notes, HOSTILE)
    assert tagged(notes, HOSTILE) == list(range(len(HOSTILE)))
    assert notes.rows("SELECT * FROM canary") == []


@pytest.mark.full
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(
        st.text(st.sampled_from("'\"\\`%:;-#/*$?=() \nabE\u00e9\U0001f600"), max_size=12), min_size=1, max_size=25
    )
)
def test_any_text_stays_a_value(notes: Database, texts: list[str]) -> None:
    """What is set is what was given, to the letter."""
    filled(notes, ("x",) * len(texts))
    cases = " ".join(f"WHEN id = {n} THEN :p{n}" for n, _ in enumerate(texts))
    value = f"CASE {cases} END"
    params: Mapping[str, Value] = {f"p{n}": text for n, text in enumerate(texts)}
    batchops.backfill(url=notes.url, table="notes", all_rows=True, set=f"note = {value}", params=params, ledger="none")
    assert notes.column("SELECT note FROM notes ORDER BY id") == texts


def test_values_of_every_type(database: Database) -> None:
    database.execute(
        "CREATE TABLE things (id integer PRIMARY KEY, n integer, amount decimal(12, 3), flag boolean, day date, "
        "at timestamp NULL)"
    )
    for n, (day, at) in enumerate([("2026-01-31", "2026-01-31 12:00:00"), ("2020-02-29", "2020-02-29 01:02:03")]):
        database.execute(f"INSERT INTO things VALUES ({n}, {-5 + n}, {1.25 + n}, {n} = 0, '{day}', '{at}')")
    conditions: list[tuple[str, Value]] = [
        ("n = :v", -5),
        ("n -:v = 0", -5),  # not a comment
        ("amount = :v", Decimal("1.250")),
        ("amount < :v", 1.5),
        ("flag = :v", True),
        ("day = :v", date(2026, 1, 31)),
        ("at > :v", datetime(2026, 1, 31, 11, 59, 59)),
    ]
    for where, value in conditions:
        ended = batchops.backfill(
            url=database.url, table="things", where=where, set="n = -5", params={"v": value}, ledger="none"
        )
        assert (where, ended.rows, ended.error) == (where, 1, None)
    aged = f"at < {AGO[database.backend]}"
    ended = batchops.purge(
        url=database.url, table="things", where=aged, params={"age": timedelta(days=400)}, allow="scan"
    )
    assert (ended.rows, database.column("SELECT id FROM things")) == (1, [0])


def test_a_value_of_another_name_is_refused_as_ever(notes: Database) -> None:
    with pytest.raises(UsageError, match=":other"):
        batchops.purge(url=notes.url, table="notes", where="note = :other", params={"n": 1})
    filled(notes, ("12:30",))
    ended = batchops.purge(url=notes.url, table="notes", where="note = '12:30' AND note <> ':n'", params={"n": "x"})
    assert ended.rows == 1


def test_another_value_is_another_job(notes: Database) -> None:
    """A counter is not raised twice for one value, and once for each."""
    filled(notes, ("a", "b"))
    notes.execute("UPDATE notes SET tag = 0")
    ends = [
        batchops.backfill(url=notes.url, table="notes", where="note = :n", set="tag = tag + 1", params={"n": note})
        for note in ("a", "a", "b")
    ]
    assert [end.rows for end in ends] == [1, 0, 1]
    assert notes.column("SELECT tag FROM notes ORDER BY id") == [1, 1]


SQL_IN_IT = "x'; DROP TABLE canary; --"
RECIPE = """
[params]
note = { type = "text" }
[job.one]
verb = "purge"
table = "notes"
where = "note = :note"
"""


def run_with_sql_in_it(database: Database, folder: Path) -> list[str]:
    """Run a recipe that is given SQL for a value; the statements that the server must have seen."""
    database.execute("CREATE TABLE notes (id integer PRIMARY KEY, note varchar(400))")
    database.execute("CREATE TABLE canary (id integer)")
    database.insert("notes", ("id", "note"), [(1, SQL_IN_IT), (2, "x")])
    recipe = folder / "r.toml"
    recipe.write_text(RECIPE)
    job = batchops.run(recipe, params={"note": SQL_IN_IT}, environ={"BATCHOPS_URL": database.url})["one"]
    assert job is not None
    assert (job.reason, job.rows) == ("done", 1)
    assert database.rows("SELECT id FROM notes") == [(2,)]
    assert database.rows("SELECT * FROM canary") == []
    return ["DELETE FROM", "note = 'x''; DROP TABLE canary; --'"]


def proved(log: list[str], wanted: list[str], figures: Figures) -> None:
    deletes = [line for line in log if all(part in line for part in wanted)]
    assert deletes
    assert not [line for line in log if line.strip().upper().startswith("DROP TABLE CANARY")]
    figures(the_server_saw=deletes[0].strip()[:200])


@pytest.mark.full
def test_postgresql_s_log(private_postgresql: Private, new_database: Any, tmp_path: Path, figures: Figures) -> None:
    database = new_database("postgresql", at=private_postgresql.server)
    database.execute(f"ALTER DATABASE {database.name} SET log_statement = 'all'")
    wanted = run_with_sql_in_it(database, tmp_path)
    time.sleep(0.2)
    log = private_postgresql.log.read_text().splitlines()
    proved([line.partition("  ")[2].partition(": ")[2] for line in log], wanted, figures)


@pytest.mark.full
@pytest.mark.parametrize("mode", ["", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES,STRICT_ALL_TABLES"])
def test_mariadb_s_log(
    private_mariadb: Private, new_database: Any, tmp_path: Path, mode: str, figures: Figures
) -> None:
    database = new_database("mariadb", at=private_mariadb.server)
    database.execute(f"SET GLOBAL log_output = 'TABLE', general_log = 1, sql_mode = '{mode}'")
    wanted = run_with_sql_in_it(database, tmp_path)
    log = [str(text) for text in database.column("SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log")]
    proved(log, wanted, figures)
    database.execute("DROP TABLE notes")
    database.execute("CREATE TABLE notes (id integer PRIMARY KEY, note varchar(400), tag integer)")
    filled(database, HOSTILE)
    assert tagged(database, HOSTILE) == list(range(len(HOSTILE)))
