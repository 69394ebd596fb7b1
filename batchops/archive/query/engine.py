"""The DuckDB of a query: a database in memory that reads the files of its views, and nothing else."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from batchops.archive.query.types import literal
from batchops.errors import BatchopsError, UsageError

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",  # no variable of this program is a table
}
_AT_A_TIME = 1_000
"""Rows that are fetched at a time."""


class Engine:
    """One connection. Every error of DuckDB becomes one line."""

    def __init__(self, folder: Path, readable: Sequence[Path]) -> None:
        """`folder`: for temporary files; `readable`: the files that it may read besides those in the folder."""
        try:
            import duckdb
        except ModuleNotFoundError as error:
            if error.name not in ("duckdb", "_duckdb"):
                raise
            raise UsageError(
                "A query needs duckdb, which is not installed.", "pip install 'batchops[query]'"
            ) from error
        self._duckdb: Any = duckdb
        self._connection: Any = duckdb.connect(":memory:", config=_CONFIG)
        self._thread = ThreadPoolExecutor(1, "batchops-query")
        paths = ", ".join(literal(str(path)) for path in readable)
        for setting in (
            "TimeZone = 'UTC'",
            "enable_progress_bar = false",
            f"temp_directory = {literal(str(folder / 'spill'))}",
            f"allowed_directories = [{literal(str(folder.resolve()))}]",
            f"allowed_paths = [{paths}]",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            self._connection.execute(f"SET {setting}")

    def define(self, statement: str) -> None:
        """Execute a statement of ours."""
        with self._translated():
            self._apart(lambda: self._connection.execute(statement))

    def checked(self, sql: str) -> str:
        """Return the one SELECT that the text is; raise UsageError for anything else."""
        with self._translated():
            found = [one for one in self._connection.extract_statements(sql) if one.query.strip(" \t\r\n;")]
        if len(found) != 1 or found[0].type != self._duckdb.StatementType.SELECT:
            raise UsageError("A query is one SELECT statement, and reads only.", "see `batchops help restore`.")
        return self._without_end(str(found[0].query))

    def _without_end(self, statement: str) -> str:
        """Return the statement without the semicolon at its end, and without comments behind that."""
        text = statement.encode()
        ends = (place for place, _ in self._duckdb.tokenize(statement) if text[place : place + 1] == b";")
        return text[: next(ends, len(text))].decode()

    def columns(self, select: str) -> list[tuple[str, str]]:
        """Return the names and types of the columns that the SELECT returns, without executing it."""
        with self._translated():
            found = self._apart(lambda: self._connection.sql(select))
            return [(str(name), str(type)) for name, type in zip(found.columns, found.types, strict=True)]

    def rows(self, select: str, values: Sequence[str]) -> Iterator[tuple[str | None, ...]]:
        """Yield the rows of the SELECT; `values` are expressions over its columns `#1`, `#2` … that return texts."""
        with self._translated():
            statement = f"SELECT {', '.join(values)} FROM (\n{select}\n) AS result"
            result = self._apart(lambda: self._connection.execute(statement))
            while found := self._apart(lambda: result.fetchmany(_AT_A_TIME)):
                yield from found

    def close(self) -> None:
        """End the connection."""
        with suppress(self._duckdb.Error):
            self._connection.close()
        self._thread.shutdown()

    def _apart(self, work: Callable[[], Any]) -> Any:
        """Return what the work returns, and let Ctrl-C interrupt it: DuckDB would not notice in the main thread."""
        doing = self._thread.submit(work)
        try:
            return doing.result()
        except KeyboardInterrupt:
            self._connection.interrupt()
            wait([doing])
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        duckdb = self._duckdb
        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise BatchopsError(
                f"DuckDB: {_line(error)}", "select fewer columns or rows; TMPDIR needs space."
            ) from error
        except (duckdb.IOException, duckdb.FatalException, duckdb.InternalException) as error:
            raise BatchopsError(f"DuckDB: {_line(error)}") from error
        except duckdb.PermissionException as error:
            raise UsageError(
                f"DuckDB refuses the query: {_line(error)}", "a query reads the archived tables and nothing else."
            ) from error
        except duckdb.Error as error:
            raise UsageError(f"DuckDB refuses the query: {_line(error)}", _hint(error)) from error


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _hint(error: Exception) -> str:
    """Return what DuckDB says besides: the names that were perhaps meant, else the place of the error."""
    more = [line for line in str(error).split("\n")[1:] if line.strip()]
    return " ".join(more[0].split()) if more else ""
