"""What the Tab key offers beyond flags: tables, columns, recipes and their jobs, runs.

Nothing here may fail or take long, whatever the database does: then nothing is offered. What it needs is imported
when the key is pressed.
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
"""Seconds that a person waits for names."""
Items = list[CompletionItem]
Offer = Callable[[click.Context, click.Parameter, str], Items]
"""click's shape: the context as far as it was typed, the parameter, the beginning of its value."""


def tables(context: click.Context, _: click.Parameter, begun: str) -> Items:
    """The tables of the database."""

    def look() -> Iterable[str]:
        with _database(context) as database, database.reading() as connection:
            return database.backend.catalog.tables(connection)

    return _beginning(_in_time(look), begun)


def columns(context: click.Context, _: click.Parameter, begun: str) -> Items:
    """The columns of the table that was named; behind a comma one more."""
    before, comma, last = begun.rpartition(",")

    def look() -> Iterable[str]:
        from batchops.db.lookup import find_table

        with _database(context) as database, database.reading() as connection:
            return find_table(connection, database.backend, _first(context, "table")).column_names

    return [CompletionItem(before + comma + item.value) for item in _beginning(_in_time(look), last)]


def recipes(_: click.Context, __: click.Parameter, begun: str) -> Items:
    """Recipes in that folder; where there are none, the shell's own file names."""
    folder, slash, name = begun.rpartition("/")
    names = _in_time(lambda: sorted(path.name for path in Path(folder + slash or ".").glob("*.toml")))
    found = [CompletionItem(folder + slash + each) for each in names if each.startswith(name)]
    return found or [CompletionItem(begun, type="file")]


def jobs(context: click.Context, _: click.Parameter, begun: str) -> Items:
    """The jobs of the recipe that was named, but for those that are there."""
    given = context.params.get("jobs") or ()
    return _beginning([name for name in _recipe(context, "job") if name not in given], begun)


def params(context: click.Context, _: click.Parameter, begun: str) -> Items:
    """The parameters of the recipe that was named."""
    return _beginning([f"{name}=" for name in _recipe(context, "params")], begun)


def runs(context: click.Context, _: click.Parameter, begun: str) -> Items:
    """The runs that the ledger knows, newest first."""

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
    """These words."""
    known = tuple(choices)
    return lambda _, __, begun: _beginning(known, begun)


def _first(context: click.Context, name: str) -> str:
    """The first argument. Where an option is at the end without its value, click has not come to arguments."""
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
    """Whether the URL would come from a program: the Tab key starts none."""
    named = url or os.environ.get("BATCHOPS_URL") or os.environ.get("DATABASE_URL") or ""
    return named.startswith("cmd:")
