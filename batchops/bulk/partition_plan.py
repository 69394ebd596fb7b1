"""Which whole partitions a job drops, how, and what keeps it from that."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.bulk.droppable_partitions import covered
from batchops.bulk.plan.pinned import Pinned
from batchops.bulk.spec import BulkSpec
from batchops.bulk.verb import BulkVerb
from batchops.db.database import Database
from batchops.db.partitions import Partitions
from batchops.db.table import Table
from batchops.errors import RefusedError, UsageError
from batchops.ledger.detached import runs_with_detached
from batchops.ledger.ledger import Ledger
from batchops.runtime.refusal import Refusal

MOST_NAMED = 20
"""How many partitions a plan names one by one."""


@dataclass(frozen=True)
class PartitionPlan:
    """The partitions that the condition covers whole."""

    droppable: tuple[Table, ...] = ()
    drops: tuple[Table, ...] = ()
    """Those that the job drops."""
    facts: tuple[tuple[str, str], ...] = ()
    """Names and texts for the plan."""
    refusals: tuple[Refusal, ...] = ()


def plan_partitions(
    connection: sa.Connection, database: Database, ledger: Ledger, verb: BulkVerb, spec: BulkSpec, table: Table,
    pinned: Pinned,
) -> PartitionPlan:  # fmt: skip
    """Find the covered partitions; RefusedError or UsageError if partitions of this table cannot be dropped."""
    found = covered(connection, database, table, pinned) if verb.removes else []
    if not spec.drops_partitions:
        return PartitionPlan(tuple(found))
    partitions = _asked(spec, ledger, database.backend.partitions)
    if table.kind != "partitioned":
        raise RefusedError(f'--drop-partitions: "{table.label}" has no partitions.', "leave --drop-partitions out.")
    refusals = tuple(_refusals(connection, partitions, found))
    return PartitionPlan(
        tuple(found), tuple(found), tuple(_facts(connection, partitions, verb, found)), refusals
    )  # fmt: skip


def _asked(spec: BulkSpec, ledger: Ledger, partitions: Partitions | None) -> Partitions:
    if partitions is None:
        raise RefusedError(
            "--drop-partitions: only PostgreSQL's partitions can be dropped. In other databases ALTER TABLE commits by "
            "itself, so that no transaction holds both the drop and the record of it.",
            "leave it out, or drop them with ALTER TABLE … DROP PARTITION.",
        )
    if not ledger.in_target:
        raise RefusedError(
            "--drop-partitions needs the ledger in the database itself: after a crash only the ledger knows what is "
            "detached.",
            "leave --ledger out.",
        )
    if spec.max_rows is not None:
        raise UsageError("--drop-partitions and --max-rows exclude each other: a partition is dropped as a whole.")
    return partitions


def _refusals(connection: sa.Connection, partitions: Partitions, found: Sequence[Table]) -> Iterator[Refusal]:
    """Yield one refusal for each obstacle, with the partitions that have it."""
    named: dict[str, list[str]] = {}
    for leaf in found:
        for why in partitions.obstacles(connection, leaf):
            named.setdefault(why, []).append(leaf.label)
    for why, labels in named.items():
        more = f" and {len(labels) - MOST_NAMED:,} more" if len(labels) > MOST_NAMED else ""
        yield Refusal(
            "partitions", f"{', '.join(labels[:MOST_NAMED])}{more}: not to be dropped as a whole, because {why}.",
            "leave --drop-partitions out: the rows go one by one; or remove the cause.",
        )  # fmt: skip


def _facts(
    connection: sa.Connection, partitions: Partitions, verb: BulkVerb, found: Sequence[Table]
) -> Iterator[tuple[str, str]]:  # fmt: skip
    for leaf in found[:MOST_NAMED]:
        yield "drops", f"{leaf.label}: its bounds imply the condition: {partitions.bound(connection, leaf)}"
    if len(found) > MOST_NAMED:
        yield "drops", f"{len(found) - MOST_NAMED:,} more, see droppable"
    if not found:
        yield "drops", "no partition, as the server cannot prove of any that all of its rows match; rows go one by one"
    else:
        copied = " its rows are copied and read back, and compared under a lock;" if verb.removed == "archive" else ""
        yield "dropping", f"each is detached, by {partitions.how(connection, found[0])};{copied} then it is dropped"


def detached_warnings(connection: sa.Connection, ledger: Ledger, table: Table) -> tuple[str, ...]:
    """Return a warning for each run that has left a partition of the table detached."""
    if not ledger.in_target:
        return ()
    connection.exec_driver_sql("SAVEPOINT detached")
    try:
        found = runs_with_detached(connection, ledger, table.label) if ledger.state(connection) == "current" else []
    except (DBAPIError, RefusedError):  # the role may not read the ledger, which a run refuses
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT detached")
        return ()
    return tuple(
        f"Run {run.run} ({run.verb}) has detached partition {run.detached}, and has not dropped it yet: its rows are "
        "not in the table. The same command as then goes on with it"
        + (f": {run.by['command']}" if run.by.get("command") else ".")
        for run in found
    )
