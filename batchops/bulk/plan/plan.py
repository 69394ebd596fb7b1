"""What a run would do, for people to read before it does."""

from dataclasses import dataclass

from batchops.bulk.plan.cost import Cost
from batchops.bulk.plan.pinned import Pinned
from batchops.bulk.plan.referenced_rows import Staying
from batchops.db.backend import Server
from batchops.db.facts import TableFacts
from batchops.db.table import Table
from batchops.runtime.refusal import Refusal

COUNTED = "counted"
"""How an estimate was made that is none."""


@dataclass(frozen=True)
class Explained:
    """A writing statement with its values in place, and the server's own plan of it."""

    place: str
    """start, middle or end of the range."""
    statement: str
    explain: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Found out by reading alone."""

    verb: str
    database: str
    """The URL without its password."""
    server: Server
    table: Table
    facts: TableFacts
    pinned: Pinned
    strategy: str
    why: str
    """Why this strategy."""
    estimate: int | None
    """Rows that match."""
    estimated_by: str
    """counted, or the planner's estimate."""
    index: str
    """What finds a batch's rows, in words."""
    explained: tuple[Explained, ...]
    cost: Cost
    goes_on: str | None
    """Where an earlier run left it, in words; None for a run from the beginning."""
    pacing: str
    limits: str
    id_file: str = ""
    """Where the listed ids are from."""
    droppable: tuple[str, ...] = ()
    """Partitions that the condition covers whole."""
    staying: tuple[Staying, ...] = ()
    """Matching rows that other tables refer to."""
    refusals: tuple[Refusal, ...] = ()
    """What the checks have against it, the allowed ones too."""

    @property
    def refers_to_itself(self) -> bool:
        """Whether a row may be kept from being deleted by another row of the table."""
        return any(reference.restricts_own for reference in self.facts.references)

    @property
    def statement(self) -> str:
        """The first writing statement."""
        return self.explained[0].statement

    @property
    def explain(self) -> tuple[str, ...]:
        """The server's own plan of it."""
        return self.explained[0].explain

    @property
    def refused(self) -> bool:
        """Whether a run would be."""
        return any(not refusal.allowed for refusal in self.refusals)
