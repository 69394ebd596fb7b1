"""Where the rows of a job go before they are changed: nowhere, or into an archive."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from batchops.bulk.execution import DirectExecution, Execution
from batchops.bulk.operations import Operation
from batchops.bulk.spec import BulkSpec
from batchops.bulk.strategies.strategy import Strategy
from batchops.db.database import Database
from batchops.db.table import Table
from batchops.events import Emit
from batchops.finished_details import Archived
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import Run
from batchops.runtime.ending import Ending
from batchops.runtime.lease import Lease
from batchops.runtime.refusal import Refusal
from batchops.runtime.stop import Stop

if TYPE_CHECKING:  # these modules import this one
    from batchops.bulk.plan.analysis import RunStrategy
    from batchops.bulk.plan.inspection import Inspection
    from batchops.bulk.verb import BulkVerb


@dataclass(frozen=True)
class Preparing:
    """What is known of a job while it is planned."""

    connection: sa.Connection
    database: Database
    ledger: Ledger
    verb: "BulkVerb"
    spec: BulkSpec
    found: "Inspection"
    route: "RunStrategy"


@dataclass(frozen=True)
class RunInHand:
    """A run whose rows are about to go, and what it works with."""

    database: Database
    ledger: Ledger
    run: Run
    held: Lease
    emit: Emit
    stop: Stop


class WholeRows(Protocol):
    """Where the rows of whole partitions go before these are dropped, one partition after the other."""

    slow: bool
    """Whether a partition stays detached for long, because its rows are copied meanwhile."""

    def copy(self, leaf: Table, check: Callable[[], None]) -> None:
        """Copy all rows of a detached partition durably; what an earlier call has copied does not count any more.

        `check` is called often, and raises an error if the copy must end.
        RowRefusedError for a row that cannot be copied exactly.
        """

    def same(self, connection: sa.Connection, leaf: Table, check: Callable[[], None]) -> bool:
        """Whether the rows of the partition, which the transaction has locked, are exactly the copied ones."""

    def record(self, connection: sa.Connection) -> None:
        """Record in the transaction that drops the partition that all copied rows count."""

    def settle(self, *, dropped: bool) -> None:
        """Tell the destination whether the copied rows count. After an error, the end of the run does."""


class OpenOut(Protocol):
    """Where the rows of a job go, during the run."""

    def found_by(self, strategy: Strategy) -> Strategy:
        """Return the strategy that makes the batches, given the one that finds the rows."""

    def execution(self, operation: Operation) -> Execution:
        """Return the execution of one worker."""

    def whole(self) -> WholeRows:
        """Return where the rows of whole partitions go."""

    def close(self, ending: Ending, warn: Callable[[str], None]) -> Ending:
        """Finish what is open, after the last batch; return how the run ends then."""

    def archived(self) -> Archived | None:
        """Return what the whole run has archived, for its summary; None without an archive."""


class RowsOut(Protocol):
    """Where the rows of a planned job go."""

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Names and texts for the plan."""

    @property
    def refusals(self) -> Sequence[Refusal]: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def pinned(self) -> dict[str, Any]:
        """What the ledger keeps for the process that continues the run."""

    def open(self, of: RunInHand) -> OpenOut:
        """Begin, once the run is in the ledger; BatchopsError if that is impossible."""


class _InPlace:
    """The rows are changed where they are."""

    facts: tuple[tuple[str, str], ...] = ()
    refusals: Sequence[Refusal] = ()
    warnings: tuple[str, ...] = ()
    pinned: dict[str, Any] = {}  # noqa: RUF012  nobody writes to it

    def open(self, of: RunInHand) -> OpenOut:
        return _Unmoved(of.database)


class _Nowhere:
    """Whole partitions are dropped without a copy."""

    slow = False

    def copy(self, leaf: Table, check: Callable[[], None]) -> None:
        pass

    def same(self, connection: sa.Connection, leaf: Table, check: Callable[[], None]) -> bool:  # noqa: ARG002
        return True

    def record(self, connection: sa.Connection) -> None:
        pass

    def settle(self, *, dropped: bool) -> None:
        pass


class _Unmoved:
    def __init__(self, database: Database) -> None:
        self._database = database

    def found_by(self, strategy: Strategy) -> Strategy:
        return strategy

    def execution(self, operation: Operation) -> Execution:
        return DirectExecution(self._database, operation)

    def whole(self) -> WholeRows:
        return _Nowhere()

    def close(self, ending: Ending, warn: Callable[[str], None]) -> Ending:  # noqa: ARG002
        return ending

    def archived(self) -> None:
        return None


IN_PLACE: RowsOut = _InPlace()
