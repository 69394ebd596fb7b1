"""A table `t` of numbered rows, made by the server itself, and batchops on it."""

from collections.abc import Sequence
from typing import Any

import batchops as library
from batchops.events import Committed, Event, Finished
from tests.services.database import Database

_FROM = {
    "postgresql": "generate_series(1, {rows}) AS s(i)",
    "mysql": "(SELECT seq AS i FROM seq_1_to_{rows}) AS s",
    "sqlite": "(WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {rows}) SELECT i FROM c) AS s",
}


def numbered(database: Database, rows: int, **columns: tuple[str, str]) -> None:
    """`id` from 1 to `rows`; each further column has a type and an expression of `i`."""
    types = "".join(f", {name} {type}" for name, (type, _) in columns.items())
    values = "".join(f", {value}" for _, value in columns.values())
    database.script(f"CREATE TABLE t (id integer PRIMARY KEY{types})")
    database.script(f"INSERT INTO t SELECT i{values} FROM {_FROM[database.backend].format(rows=rows)}")
    if database.backend == "postgresql":
        database.execute("ANALYZE t")


class Job:
    """One job in the library, run as often as need be."""

    def __init__(self, database: Database, verb: str, /, **options: Any) -> None:
        self._call = {"purge": library.purge, "backfill": library.backfill}[verb]
        self._options = {"url": database.url, "table": "t"} | options
        self.events: list[Event] = []

    def __call__(self, **more: Any) -> Finished:
        self.events = []
        hear = more.pop("hear", lambda _: None)

        def listen(event: Event) -> None:
            self.events.append(event)
            hear(event)

        return self._call(on_event=listen, **self._options | more)

    @property
    def batches(self) -> Sequence[Committed]:
        """Of the last run."""
        return [event for event in self.events if isinstance(event, Committed)]
