"""Spools of an archive in the ledger: the valid length of each, and the segment that it became a part of."""

import json
from collections.abc import Collection, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from batchops.errors import IntegrityError, TransientError
from batchops.ledger.ledger import Ledger

MODULUS = 1 << 128
"""The modulus of the digests, which are sums over rows."""


@dataclass(frozen=True)
class Spool:
    """A spool, up to its valid length."""

    run: int
    name: str
    length: int
    """Bytes of committed batches, with the header."""
    rows: int
    digest: int
    """The digest of these rows, independent of their order."""
    segment: int | None = None
    """The number of the run's segment that it is a part of; None while it may grow, or if a process left it behind."""
    left: tuple[tuple[int, int], ...] = ()
    """See `Decided`."""

    def grown(self, length: int, rows: int, digest: int) -> "Spool":
        """Return the spool with a further batch."""
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
    """Return the SQL condition that the run has spools whose rows are in no sealed segment."""
    spools, segments = ledger.spools.c, ledger.segments.c
    sealed = sa.select(segments.run).where(
        segments.run == spools.run, segments.segment == spools.segment, segments.record.is_not(None)
    )
    return sa.exists(sa.select(spools.run).where(spools.run == run, ~sealed.exists()))


def unsealed(connection: sa.Connection, ledger: Ledger, job: str) -> list[Spool]:
    """Return all spools of a job's runs whose rows are in no sealed segment, the oldest first."""
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
    """Which rows of a segment that was durable before they were deleted have been deleted, and which stay.

    The ledger keeps a spool for such a segment too: its length counts the rows that are decided, in the file's order.
    """

    first: int
    behind: int
    rows: int
    """How many of the rows were deleted."""
    digest: int
    left: tuple[tuple[int, int], ...]
    """The ranges of the rows that stay, by their places in the file."""


def decide(connection: sa.Connection, ledger: Ledger, run: int, name: str, decided: Decided) -> None:
    """Record it in the transaction that deletes the rows; raise IntegrityError if they do not follow those before."""
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


def decide_again(
    connection: sa.Connection, ledger: Ledger, run: int, name: str, places: Set[int], digest: int
) -> None:  # fmt: skip
    """Record that rows are deleted of which an earlier transaction had recorded that they stay.

    It is part of the transaction that deletes them; IntegrityError if the ledger does not know that they stay.
    """
    before = known(connection, ledger, run, name)
    left = () if before is None else tuple(_without(before.left, places))
    if before is None or _length(before.left) - _length(left) != len(places):
        raise IntegrityError(
            f"The ledger does not know the rows of segment {name} as this process does; the batch was rolled back.",
            "run the same command again: it copies these rows anew.",
        )
    after = replace(before.grown(before.length, len(places), digest), left=left)
    if not _changed(connection, ledger, before, after):
        raise TransientError(f"The ledger's row for segment {name} changed meanwhile.")


def _length(stretches: Sequence[tuple[int, int]]) -> int:
    return sum(behind - first for first, behind in stretches)


def _without(stretches: Sequence[tuple[int, int]], places: Set[int]) -> Iterator[tuple[int, int]]:
    """Yield the stretches without these places."""
    low, high = min(places), max(places)
    for first, behind in stretches:
        if behind <= low or first > high:
            yield first, behind
            continue
        begun = None
        for place in range(first, behind + 1):
            stays = place < behind and place not in places
            if stays and begun is None:
                begun = place
            elif not stays and begun is not None:
                yield begun, place
                begun = None


def close(connection: sa.Connection, ledger: Ledger, spool: Spool, rows: int) -> Spool:
    """Decide that all undecided rows of a segment stay, and return its spool; `rows`: how many rows it has.

    After that no process can decide further rows, so every later answer is the same.
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
    """Remove a segment that was never made, with its spool."""
    connection.execute(ledger.spools.delete().where(_is(ledger, spool)))
    mine = sa.and_(ledger.segments.c.run == spool.run, ledger.segments.c.segment == spool.segment)
    connection.execute(ledger.segments.delete().where(mine, ledger.segments.c.record.is_(None)))


def known(connection: sa.Connection, ledger: Ledger, run: int, name: str) -> Spool | None:
    """Return the spool of that name; None if there is none."""
    mine = sa.and_(ledger.spools.c.run == run, ledger.spools.c.spool == name)
    row = connection.execute(sa.select(ledger.spools).where(mine)).one_or_none()
    return None if row is None else _spool(row)


def assign(connection: sa.Connection, ledger: Ledger, run: int, spools: Sequence[Spool]) -> int:
    """Make these spools, to which nobody writes any more, the parts of a new segment; return its number in the run.

    If that was done before, and the answer to COMMIT was lost, the number is the one from then.
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
    """Record that a segment is durable at its destination."""
    mine = sa.and_(ledger.segments.c.run == run, ledger.segments.c.segment == segment)
    connection.execute(ledger.segments.update().where(mine).values(record=json.dumps(record)))


def records(connection: sa.Connection, ledger: Ledger, run: int) -> list[dict[str, Any]]:
    """Return the records of the run's sealed segments, in the segments' order."""
    segments = ledger.segments.c
    query = sa.select(segments.record).where(segments.run == run, segments.record.is_not(None))
    return [json.loads(record) for record in connection.execute(query.order_by(segments.segment)).scalars()]


def names_of(connection: sa.Connection, ledger: Ledger, run: int) -> frozenset[str]:
    """Return the names of the spools of a run that the ledger knows."""
    return frozenset(connection.execute(sa.select(ledger.spools.c.spool).where(ledger.spools.c.run == run)).scalars())


def forget(connection: sa.Connection, ledger: Ledger, runs: Collection[int]) -> None:
    """Remove the spools and segments of these runs from the ledger."""
    for table in (ledger.spools, ledger.segments):
        connection.execute(table.delete().where(table.c.run.in_(list(runs))))
