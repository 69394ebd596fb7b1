"""The command line in this process, and a small table to try it on."""

import io
from collections.abc import Callable, Mapping

import pytest

from batchops.cli import main
from tests.command import Result
from tests.services.database import Database

Cli = Callable[..., Result]
ROWS = 1000
TABLE = """
CREATE TABLE ev (id integer PRIMARY KEY, kind int NOT NULL, note varchar(100), made timestamp NULL);
CREATE TABLE other (a int, b int);
CREATE VIEW seen AS SELECT * FROM ev;
"""


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """`cli("purge", "ev", …)` as the program does it, without a terminal, and quicker than a process."""
    for name in ("BATCHOPS_URL", "DATABASE_URL", "BATCHOPS_DEBUG"):
        monkeypatch.delenv(name, raising=False)

    def cli(*args: object, env: Mapping[str, str] | None = None) -> Result:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdin", io.StringIO())
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main([str(arg) for arg in args])
        assert isinstance(ended.value.code, int)
        return Result(ended.value.code, *capsys.readouterr())

    return cli


@pytest.fixture
def ev(database: Database) -> Database:
    """On each database: ev (a thousand rows, ten kinds), other (no key), seen (a view of ev)."""
    return filled(database)


@pytest.fixture
def lite(sqlite: Database) -> Database:
    """The same in a SQLite file."""
    return filled(sqlite)


def filled(database: Database) -> Database:
    for statement in TABLE.split(";")[:-1]:
        database.execute(statement)
    database.insert("ev", ("id", "kind"), [(n, n % 10) for n in range(1, ROWS + 1)])
    database.execute("INSERT INTO other VALUES (1, 1), (2, 2)")
    return database


def everything(database: Database) -> list[list[tuple[object, ...]]]:
    """What must be as before."""
    return [database.rows(f"SELECT * FROM {table} ORDER BY 1") for table in ("ev", "other")]
