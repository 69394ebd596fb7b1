"""A queue whose table and columns have any name, drained by every place for leases."""

import pytest

import batchops as library
from tests.queue.jobs import here
from tests.services.database import Database

NAMES = [("50%", "%s", "t%"), (":name", 'a"b', "%(x)s"), ("what?", "a`b", "it's"), ("%%", "{x} y", "a:b")]


@pytest.mark.wide(2)
@pytest.mark.in_turn
@pytest.mark.parametrize("lease", ["columns", "table", "none"])
@pytest.mark.parametrize("names", NAMES, ids=lambda names: names[0])
def test_a_queue_of_odd_names(database: Database, names: tuple[str, str, str], lease: str) -> None:
    quote = "`" if database.backend == "mysql" else '"'
    key, state, table = (f"{quote}{name.replace(quote, 2 * quote)}{quote}" for name in names)
    database.script(f"CREATE TABLE {table} ({key} integer PRIMARY KEY, {state} integer NOT NULL)")
    values = ", ".join(f"({n}, 0)" for n in range(20))
    database.script(f"INSERT INTO {table} VALUES {values}")
    if lease != "none":
        made = here("queue", "init", names[2], "--url", database.url, "--lease-in", lease, "--apply")
        assert made.code == 0, made
    seen: list[int] = []

    def handler(rows: list[dict[str, int]], connection: object) -> None:  # noqa: ARG001  its shape is the handler's
        seen.extend(row[names[0]] for row in rows)

    done = library.drain(
        url=database.url, table=names[2], where=f"{state} = 0", done=[f"{state} = 1"], handler=handler, lease_in=lease
    )
    assert (done.reason, done.rows, sorted(seen)) == ("done", 20, list(range(20))), done
    assert database.column(f"SELECT DISTINCT {state} FROM {table}") == [1]
