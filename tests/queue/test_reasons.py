"""Reasons that a column cannot hold, and handlers that mean to end the process: one row fails, the others are done."""

from pathlib import Path

import pytest

import batchops as library
from tests.queue import reasons
from tests.queue.jobs import DONE, PENDING, drain, jobs, leased, states
from tests.services.database import FAMILIES, Database

pytestmark = pytest.mark.in_turn

CALL = "tests.queue.reasons:{}"


def failed_alone(database: Database, place: str = "columns") -> str:
    """The reason that row 3 failed with; the others are done."""
    assert states(database) == {"done": 4, "pending": 1}
    assert database.column("SELECT id FROM jobs WHERE status = 'pending'") == [reasons.ODD]
    table = "jobs" if place == "columns" else "batchops_row_lease"
    failure, attempts = database.rows(f"SELECT failure, attempts FROM {table} WHERE failure IS NOT NULL")[0]
    assert attempts == 1
    return str(failure)


@pytest.mark.wide(2)
@pytest.mark.parametrize("place", ["columns", "table"])
@pytest.mark.parametrize("name", ["nul", "surrogate", "wide", "long", "mute"])
def test_a_reason_is_stored_as_the_column_can_hold_it(
    database: Database, name: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was done for the other rows of the batch is not done again."""
    monkeypatch.setenv("HANDLED", str(tmp_path / "handled"))
    jobs(database, 5)
    leased(database, place)
    result = drain(database, "--call", CALL.format(name), "--batch-size", "5", "--backoff", "1h", "--lease-in", place)
    assert (result.code, result.json()["rows"], result.json()["waiting"]) == (0, 4, 1), result.err
    assert (tmp_path / "handled").read_text().split() == ["1", "2", "3", "4", "5"]
    stored = failed_alone(database, place)
    begins = {
        "nul": "HTTP 500: <html>\\x00</html>", "surrogate": "name \\udcff", "wide": "→ 😀", "long": "xxx",
        "mute": "its text is not available (RuntimeError)",
    }  # fmt: skip
    assert stored.startswith(begins[name])
    assert name != "long" or stored.endswith("x...")


COLUMNS = {
    "latin1": ("varchar(400) CHARACTER SET latin1", "wide", "\\u2192 \\U0001f600"),
    "utf8mb3": ("varchar(400) CHARACTER SET utf8mb3", "wide", "→ \\U0001f600"),
    "ascii": ("text CHARACTER SET ascii", "wide", "\\u2192 \\U0001f600"),
    "short": ("varchar(400)", "long", "x" * 397 + "..."),
}


@pytest.mark.wide(2)
@pytest.mark.parametrize("column", list(COLUMNS))
def test_a_reason_fits_the_column_that_is_there(
    mariadb: Database, column: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDLED", str(tmp_path / "handled"))
    type, name, stored = COLUMNS[column]
    jobs(mariadb, 5)
    mariadb.execute(f"ALTER TABLE jobs ADD COLUMN failure {type}")
    leased(mariadb)
    drain(mariadb, "--call", CALL.format(name), "--batch-size", "5", "--backoff", "1h")
    assert failed_alone(mariadb) == stored


def test_a_reason_fits_a_short_column_of_postgresql(
    postgresql: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDLED", str(tmp_path / "handled"))
    jobs(postgresql, 5)
    postgresql.execute("ALTER TABLE jobs ADD COLUMN failure varchar(400)")
    leased(postgresql)
    drain(postgresql, "--call", CALL.format("long"), "--batch-size", "5", "--backoff", "1h")
    assert failed_alone(postgresql) == "x" * 397 + "..."


@pytest.mark.wide(1)
@pytest.mark.parametrize(
    ("encoding", "stored"),
    [("LATIN1", "\\u2192 \\U0001f600"), ("SQL_ASCII", "\\u2192 \\U0001f600"), ("UTF8", "→ 😀")],
)
def test_a_reason_fits_the_encoding_of_the_database(
    postgresql: Database, encoding: str, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the session's would be."""
    monkeypatch.setenv("HANDLED", str(tmp_path / "handled"))
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    name = f"{postgresql.name}_{encoding.lower()}"
    postgresql.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        other = Database(FAMILIES["postgresql"], postgresql.server, name)
        other.url += "?client_encoding=utf8"
        jobs(other, 5)
        leased(other)
        drain(other, "--call", CALL.format("wide"), "--batch-size", "5", "--backoff", "1h")
        assert failed_alone(other) == stored
    finally:
        postgresql.execute(f"DROP DATABASE {name} WITH (FORCE)")


MEANS = {
    "exits": "the handler raised SystemExit: 7",
    "interrupts": "the handler raised KeyboardInterrupt",
    "generates": "the handler raised GeneratorExit",
    "memory": "MemoryError",
    "recursion": "RecursionError",
    "raises_mute": "MuteError: its text is not available (RuntimeError)",
    "raises_nul": "ValueError: a\\x00b\\udcff",
}


@pytest.mark.wide(2)
@pytest.mark.parametrize("name", list(MEANS))
def test_a_handler_that_means_to_end_the_process_fails_its_row(sqlite: Database, name: str) -> None:
    jobs(sqlite, 5)
    leased(sqlite)
    result = drain(sqlite, "--call", CALL.format(name), "--batch-size", "5", "--backoff", "1h")
    assert (result.code, result.json()["rows"]) == (0, 4), result.err
    assert failed_alone(sqlite) == MEANS[name]


@pytest.mark.parametrize("lease", ["columns", "none"])
def test_a_handler_that_exits_in_the_transaction_leaves_no_effect_of_its_row(database: Database, lease: str) -> None:
    jobs(database, 5)
    leased(database)
    drain(database, "--call", CALL.format("exits_inside"), "--batch-size", "5", "--backoff", "1h", "--lease-in", lease)
    assert states(database) == {"done": 4, "pending": 1}
    assert sorted(database.column("SELECT job FROM effects")) == [1, 2, 4, 5]


def test_a_callable_of_the_library_that_exits_fails_its_row(sqlite: Database) -> None:
    jobs(sqlite, 5)
    leased(sqlite)
    finished = library.drain(
        table="jobs", url=sqlite.url, where=PENDING, done=[DONE], batch_size=5, handler=reasons.exits, backoff="1h"
    )
    assert (finished.rows, finished.exit) == (4, 0)
    assert failed_alone(sqlite) == "the handler raised SystemExit: 7"


def test_a_module_that_exits_as_it_is_imported_is_a_wrong_flag(
    sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_script.py").write_text("import sys\nsys.exit(5)\n")
    monkeypatch.syspath_prepend(tmp_path)
    jobs(sqlite, 1)
    leased(sqlite)
    result = drain(sqlite, "--call", "a_script:work")
    assert result.code == 2
    assert "cannot be imported: SystemExit: 5" in result.json()["error"]["message"]


def test_a_program_s_last_words_are_stored(postgresql: Database, tmp_path: Path) -> None:
    path = tmp_path / "nul.sh"
    path.write_text("printf 'tool said \\000 \\377 and died' >&2; exit 7\n")
    jobs(postgresql, 1)
    leased(postgresql)
    drain(postgresql, "--exec", f"sh {path}", "--backoff", "1h")
    assert postgresql.scalar("SELECT failure FROM jobs") == "exit 7: tool said \\x00 \ufffd and died"
