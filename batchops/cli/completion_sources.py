"""The sources of shell completion besides flags: tables, columns, recipes and their jobs, runs.

If the database is slow or an error occurs, nothing is offered. The imports are inside the functions, as they are needed
only when the Tab key is pressed.
"""

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from batchops.db.database import Database

TIMEOUT = 3.0
"""The most seconds that the user waits for names."""
Items = list[CompletionItem]
Offer = Callable[[click.Context, click.Parameter, str], Items]
"""As click calls it: with the context of what was typed so far, the parameter, and the beginning of its value."""


def tables(context: click.Context, _: click.Parameter, begun: str) -> Items:
    """Offer the tables of the database."""

    def look() -> Iterable[str]:
        with _database(context) as database, database.reading() as connection:
            return database.backend.catalog.tables(connection)

    return _beginning(_in_time(look), begun)


def columns(context: click.Context, _: click.Parameter, begun: str) -> Items:
    """Offer the columns of the table on the command line; after a comma, a further column."""
    before, comma, last = begun.rpartition(",")

    def look() -> Iterable[str]:
        from batchops.db.lookup import find_table

        with _database(context) as database, database.reading() as connection:
            return find_table(connection, database.backend, _first(context, "table")).column_names

    return [CompletionItem(before + comma + item.value) for item in _beginning(_in_time(look), last)]


def recipes(_: click.Context, __: click.Parameter, begun: str) -> Items:
    """Offer the recipes in the folder; if there are none, the shell's own file names."""
    folder, slash, name = begun.rpartition("/")
    names = _in_time(lambda: sorted(path.name for path in Path(folder + slash or ".").glob("*.toml")))
    found = [CompletionItem(folder + slash + each) for each in names if each.startswith(name)]
    return found or [CompletionItem(begun, type="file")]


def jobs(context: click.Context, _: click.Parameter, begun: str) -> Items:
    """Offer the jobs of the recipe on the command line, except those already typed."""
    given = context.params.get("jobs") or ()
    return _beginning([name for name in _recipe(context, "job") if name not in given], begun)


def params(context: click.Context, _: click.Parameter, begun: str) -> Items:
    """Offer the parameters of the recipe on the command line."""
    return _beginning([f"{name}=" for name in _recipe(context, "params")], begun)


def runs(context: click.Context, _: click.Parameter, begun: str) -> Items:
    """Offer the runs in the ledger, newest first."""

    def look() -> Iterable[tuple[str, str]]:
        from batchops.cli.ledger_options import named_ledger
        from batchops.ledger.history import load_runs

        named = [context.params.get(name) for name in ("url", "ledger", "ledger_schema")]
        if _asks_a_program(named[0]):
            return []
        with named_ledger(*named) as ledger:
            found = load_runs(ledger, limit=20)
        return [(str(one.run.run), f"{one.run.verb} {one.run.table}: {one.state}") for one in found]

    return [CompletionItem(number, help=text) for number, text in _in_time(look) if number.startswith(begun)]


def one_of(choices: Iterable[str]) -> Offer:
    """Return a source that offers these words."""
    known = tuple(choices)
    return lambda _, __, begun: _beginning(known, begun)


def _first(context: click.Context, name: str) -> str:
    """Return the first argument; if the last option has no value yet, click has not parsed the arguments."""
    return str(context.params.get(name) or context.args[0])


def _beginning(names: Iterable[str], begun: str) -> Items:
    return [CompletionItem(name) for name in names if name.startswith(begun)]


def _recipe(context: click.Context, table: str) -> Iterable[str]:
    def look() -> Iterable[str]:
        from batchops.recipes.toml_lines import parse_toml, read

        found = parse_toml(read(Path(_first(context, "recipe")))).values.get(table, {})
        return list(found) if isinstance(found, dict) else []

    return _in_time(look)


def _in_time(look: Callable[[], Iterable[Any]]) -> list[Any]:
    found: list[Any] = []

    def run() -> None:
        try:
            found.extend(look())
        except Exception:  # noqa: BLE001 - an error message would be in the middle of what is being typed
            found.clear()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    return [] if thread.is_alive() else found


def _database(context: click.Context) -> closing["Database"]:
    from batchops.db.database import connect
    from batchops.db.urls import address
    from batchops.errors import UsageError

    url = context.params.get("url")
    if _asks_a_program(url):
        raise UsageError("A program for the URL may ask for a password.")
    return closing(connect(address(url, os.environ)))


def _asks_a_program(url: str | None) -> bool:
    """Whether a program would print the URL: completion starts no program."""
    named = url or os.environ.get("BATCHOPS_URL") or os.environ.get("DATABASE_URL") or ""
    return named.startswith("cmd:")
