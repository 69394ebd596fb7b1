"""Spools of an archive in the ledger: how much of each counts, and which segment it has become a part of."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from batchops.errors import IntegrityError, TransientError
from batchops.ledger.ledger import Ledger

MODULUS = 1 << 128
"""Of digests of rows, which are sums."""


@dataclass(frozen=True)
class Spool:
    """A spool as far as it counts."""

    run: int
    name: str
    length: int
    """Bytes of committed batches, with the header."""
    rows: int
    digest: int
    """Of these rows, whatever their order."""
    segment: int | None = None
    """Which segment of the run it is a part of; None while it may grow, or was left behind."""
    left: tuple[tuple[int, int], ...] = ()
    """See `Decided`."""

    def grown(self, length: int, rows: int, digest: int) -> "Spool":
        """It with a batch more."""
        return replace(self, length=length, rows=self.rows + rows, digest=(self.digest + digest) % MODULUS)


def add(connection: sa.Connection, ledger: Ledger, spool: Spool) -> None:
    """Record a new spool with its first batch, in the transaction of that batch."""
    values = {"run": spool.run, "spool": spool.name, "segment": None} | _counts(spool)
    connection.execute(ledger.spools.insert().values(values))


def advance(connection: sa.Connection, ledger: Ledger, spool: Spool) -> None:
    """Record a spool that has grown, in the transaction of the batch."""
    connection.execute(ledger.spools.update().where(_is(ledger, spool)).values(_counts(spool)))


def _counts(spool: Spool) -> dict[str, Any]:
    return {"valid_length": spool.length, "rows_kept": spool.rows, "digest": f"{spool.digest:032x}"}


def _is(ledger: Ledger, spool: Spool) -> sa.ColumnElement[bool]:
    return sa.and_(ledger.spools.c.run == spool.run, ledger.spools.c.spool == spool.name)


def unsealed_of(ledger: Ledger, run: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """Whether the run has spools whose rows are in no sealed segment."""
    spools, segments = ledger.spools.c, ledger.segments.c
    sealed = sa.select(segments.run).where(
        segments.run == spools.run, segments.segment == spools.segment, segments.record.is_not(None)
    )
    return sa.exists(sa.select(spools.run).where(spools.run == run, ~sealed.exists()))


def unsealed(connection: sa.Connection, ledger: Ledger, job: str) -> list[Spool]:
    """All such spools of a job's runs, the oldest first."""
    spools, segments, runs = ledger.spools, ledger.segments, ledger.runs
    own = sa.and_(segments.c.run == spools.c.run, segments.c.segment == spools.c.segment)
    query = sa.select(spools).join(runs, runs.c.run == spools.c.run).outerjoin(segments, own)
    query = query.where(runs.c.job == job, segments.c.record.is_(None)).order_by(spools.c.run, spools.c.spool)
    return [_spool(row) for row in connection.execute(query)]


def _spool(row: Any) -> Spool:
    left = tuple((first, behind) for first, behind in json.loads(row.rows_left or "[]"))
    return Spool(row.run, row.spool, row.valid_length, row.rows_kept, int(row.digest, 16), row.segment, left)


@dataclass(frozen=True)
class Decided:
    """What became of some rows of a segment that was in its place before they were deleted.

    Of such a segment the ledger keeps a spool too: its length counts rows that were decided, in the file's order.
    """

    first: int
    behind: int
    rows: int
    """Of them, those that were deleted."""
    digest: int
    left: tuple[tuple[int, int], ...]
    """Stretches of the others, by their places in the file."""


def decide(connection: sa.Connection, ledger: Ledger, run: int, name: str, decided: Decided) -> None:
    """Record it in the transaction that deletes the rows; IntegrityError where they do not follow those before."""
    mine = sa.and_(ledger.spools.c.run == run, ledger.spools.c.spool == name)
    row = connection.execute(sa.select(ledger.spools).where(mine)).one_or_none()
    if row is None or row.valid_length != decided.first:
        raise IntegrityError(
            f"The ledger does not know the rows of segment {name} as this process does; the batch was rolled back.",
            "run the same command again: it copies these rows anew.",
        )
    before = _spool(row)
    after = replace(before.grown(decided.behind, decided.rows, decided.digest), left=(*before.left, *decided.left))
    if not _changed(connection, ledger, before, after):
        raise TransientError(f"The ledger's row for segment {name} changed meanwhile.")


def close(connection: sa.Connection, ledger: Ledger, spool: Spool, rows: int) -> Spool:
    """Decide that all rows of a segment that are not decided stay; `rows`: how many it has.

    From then on no process decides more of it, so that every later answer is the same.
    """
    before = known(connection, ledger, spool.run, spool.name) or spool
    if before.length >= rows:
        return before
    after = replace(before, length=rows, left=(*before.left, (before.length, rows)))
    if not _changed(connection, ledger, before, after):
        raise TransientError(f"The ledger's row for segment {spool.name} changed meanwhile.")
    return after


def _changed(connection: sa.Connection, ledger: Ledger, before: Spool, after: Spool) -> bool:
    values = _counts(after) | {"rows_left": json.dumps(after.left) if after.left else None}
    same = ledger.spools.c.valid_length == before.length
    return connection.execute(ledger.spools.update().where(_is(ledger, before), same).values(values)).rowcount == 1


def drop(connection: sa.Connection, ledger: Ledger, spool: Spool) -> None:
    """Forget a segment that never came to be."""
    connection.execute(ledger.spools.delete().where(_is(ledger, spool)))
    mine = sa.and_(ledger.segments.c.run == spool.run, ledger.segments.c.segment == spool.segment)
    connection.execute(ledger.segments.delete().where(mine, ledger.segments.c.record.is_(None)))


def known(connection: sa.Connection, ledger: Ledger, run: int, name: str) -> Spool | None:
    """The spool of that name; None where there is none."""
    mine = sa.and_(ledger.spools.c.run == run, ledger.spools.c.spool == name)
    row = connection.execute(sa.select(ledger.spools).where(mine)).one_or_none()
    return None if row is None else _spool(row)


def assign(connection: sa.Connection, ledger: Ledger, run: int, spools: Sequence[Spool]) -> int:
    """Make these spools, which nobody writes to any more, the parts of a new segment; its number in the run.

    Where that was done already, after a lost answer to COMMIT, it is the number from then.
    """
    segments = ledger.segments
    before = connection.execute(sa.select(ledger.spools.c.segment).where(_is(ledger, spools[0]))).scalar()
    if before is not None:
        return int(before)
    last = connection.execute(sa.select(sa.func.max(segments.c.segment)).where(segments.c.run == run)).scalar()
    number = int(last or 0) + 1
    connection.execute(segments.insert().values(run=run, segment=number, record=None))
    for spool in spools:
        connection.execute(ledger.spools.update().where(_is(ledger, spool)).values(segment=number))
    return number


def sealed(connection: sa.Connection, ledger: Ledger, run: int, segment: int, record: dict[str, Any]) -> None:
    """Record that a segment is durable where it belongs."""
    mine = sa.and_(ledger.segments.c.run == run, ledger.segments.c.segment == segment)
    connection.execute(ledger.segments.update().where(mine).values(record=json.dumps(record)))


def records(connection: sa.Connection, ledger: Ledger, run: int) -> list[dict[str, Any]]:
    """What was recorded of the run's sealed segments, in their order."""
    segments = ledger.segments.c
    query = sa.select(segments.record).where(segments.run == run, segments.record.is_not(None))
    return [json.loads(record) for record in connection.execute(query.order_by(segments.segment)).scalars()]


def names_of(connection: sa.Connection, ledger: Ledger, run: int) -> frozenset[str]:
    """The spools of a run that the ledger knows."""
    return frozenset(connection.execute(sa.select(ledger.spools.c.spool).where(ledger.spools.c.run == run)).scalars())


def forget(connection: sa.Connection, ledger: Ledger, runs: Collection[int]) -> None:
    """Remove what is known of these runs' spools and segments."""
    for table in (ledger.spools, ledger.segments):
        connection.execute(table.delete().where(table.c.run.in_(list(runs))))
