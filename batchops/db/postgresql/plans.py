"""PostgreSQL's plans as JSON."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from batchops.db.explain import explained


def plan_of(connection: sa.Connection, statement: sa.Select[Any] | sa.Delete | sa.Update) -> dict[str, Any]:
    """The plan's top node, with schemas named."""
    (plan,) = explained(connection, statement, "EXPLAIN (FORMAT JSON, VERBOSE)").scalars()
    top: dict[str, Any] = plan[0]["Plan"]
    return top


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node and all below it."""
    yield node
    for below in node.get("Plans", ()):
        yield from nodes(below)
