"""What a run would do, for people to read before it does."""

from dataclasses import dataclass

from batchops.db.family import Server
from batchops.db.table import Table
from batchops.plan.frozen import Frozen


@dataclass(frozen=True)
class Plan:
    """Found out by reading alone."""

    verb: str
    database: str
    """The URL without its password."""
    server: Server
    table: Table
    frozen: Frozen
    walk: str
    why: str
    """Why this walk."""
    estimate: int | None
    """Rows that match, by the server's own planner."""
    statement: str
    """The first writing statement, with its values in place."""
    explain: tuple[str, ...]
    """The server's own plan of it."""
    goes_on: str | None
    """Where an earlier run left it, in words; None for a run from the beginning."""
    droppable: tuple[str, ...] = ()
    """Partitions that the predicate covers whole."""
    warnings: tuple[str, ...] = ()
