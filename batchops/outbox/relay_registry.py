"""The two tables of an outbox's relays and of the shards that each holds. Leases use the database's clock."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.ledger.owner import Owner, this_process
from batchops.outbox.shard_assignment import Holders, Member


@dataclass(frozen=True)
class Registered:
    """A relay in the table of relays."""

    relay: str
    stays: bool
    shards: int
    """The number of shards that it divides the outbox into."""
    owner: Owner
    since: float
    """Seconds since 1970."""
    left: float
    """Seconds until its lease ends; negative if it has ended."""

    @property
    def gone(self) -> bool:
        """Whether other relays may take over its shards."""
        return not self.owner.holds(self.left)

    @property
    def member(self) -> Member:
        """Return what its share of the shards depends on."""
        return Member(self.relay, self.stays)

    @property
    def named(self) -> str:
        """Return a description of its process for people."""
        since = datetime.fromtimestamp(self.since, UTC)
        return f"process {self.owner.pid} of {self.owner.user} on {self.owner.host}, running since {since:%F %T} UTC"


class Registry:
    """The rows of one outbox. A relay locks all of them before it changes shards; a renewal locks its own row only."""

    def __init__(self, database: Database, relays: sa.Table, shards: sa.Table, relation: str) -> None:
        self._epoch = database.backend.own_tables.epoch
        self._insert_once = database.backend.own_tables.insert_once
        self._relays = relays
        self._shards = shards
        self._relation = relation

    def holders(self, connection: sa.Connection) -> Holders:
        """Return the relay of each shard; empty if no relay has run yet."""
        return _holders(connection, self._query())

    def locked(self, connection: sa.Connection, *, wait: bool = True) -> Holders:
        """Return the relay of each shard, and lock the rows until the transaction ends.

        Unless told to `wait`, return fewer if another relay has locked some.
        """
        query = self._query().with_for_update(skip_locked=not wait)
        if not (found := _holders(connection, query)) and wait:
            first = {"relation": self._relation, "shard": 0, "relay": None}
            connection.execute(self._insert_once(self._shards).values(first))  # so that there is a row to lock
            found = _holders(connection, query)
        return found

    def relays(self, connection: sa.Connection) -> list[Registered]:
        """Return the registered relays, in the order in which they registered."""
        columns = self._relays.c
        left = (columns.lease_until - self._epoch()).label("left")
        query = sa.select(self._relays, left).where(columns.relation == self._relation)
        return [
            Registered(r.relay, bool(r.stays), r.shards, Owner(**json.loads(r.owner)), float(r.since), float(r.left))
            for r in connection.execute(query.order_by(columns.since, columns.relay))
        ]

    def remove_gone(
        self, connection: sa.Connection, relays: Sequence[Registered], *, wait: bool = True
    ) -> list[Registered]:  # fmt: skip
        """Remove the relays that are gone, which fences them, and return the others.

        A relay that is in a transaction, perhaps frozen in it, cannot be removed before that ends. Unless told to
        `wait` for it, return it as one that gets no further shard.
        """
        live = []
        for one in relays:
            removal = sa.delete(self._relays).where(*self._is(one.relay))
            if not one.owner.gone():  # it may have renewed its lease since it was read
                removal = removal.where(self._relays.c.lease_until <= self._epoch())
            if one.gone and not wait and not self._free(connection, one.relay):
                live.append(replace(one, stays=False))
            elif not one.gone or connection.execute(removal).rowcount == 0:
                live.append(one)
        return live

    def _free(self, connection: sa.Connection, relay: str) -> bool:
        """Whether no other transaction has locked the row of a relay, which this one locks."""
        query = sa.select(self._relays.c.relay).where(*self._is(relay)).with_for_update(skip_locked=True)
        return connection.execute(query).first() is not None

    def register(self, connection: sa.Connection, member: Member, shards: int, seconds: float) -> bool:
        """Add this process's relay with a lease; always True, as for a lease that was renewed."""
        values = {
            "relation": self._relation, "relay": member.relay, "stays": int(member.stays), "shards": shards,
            "owner": json.dumps(this_process().as_dict()), "since": self._epoch(),
            "lease_until": self._epoch() + seconds,
        }  # fmt: skip
        connection.execute(sa.insert(self._relays).values(values))
        return True

    def renew(self, connection: sa.Connection, relay: str, seconds: float) -> bool:
        """Renew a relay's lease; False if the relay was removed. No other relay can remove it in this transaction."""
        renewal = sa.update(self._relays).where(*self._is(relay)).values(lease_until=self._epoch() + seconds)
        return connection.execute(renewal).rowcount == 1

    def remove(self, connection: sa.Connection, relay: str) -> None:
        """Remove a relay and free its shards."""
        connection.execute(sa.update(self._shards).where(*self._holds(relay)).values(relay=None))
        connection.execute(sa.delete(self._relays).where(*self._is(relay)))

    def lay_out(self, connection: sa.Connection, shards: int) -> Holders:
        """Replace the shards by that many new ones, all free, and return their holders."""
        connection.execute(sa.delete(self._shards).where(self._shards.c.relation == self._relation))
        rows = [{"relation": self._relation, "shard": shard, "relay": None} for shard in range(shards)]
        connection.execute(sa.insert(self._shards), rows)
        return (None,) * shards

    def assign(self, connection: sa.Connection, before: Holders, after: Holders) -> None:
        """Store the shards whose relay has changed."""
        changed: dict[str | None, list[int]] = defaultdict(list)
        for shard, (old, new) in enumerate(zip(before, after, strict=True)):
            if old != new:
                changed[new].append(shard)
        columns = self._shards.c
        for relay, shards in changed.items():
            which = (columns.relation == self._relation, columns.shard.in_(shards))
            connection.execute(sa.update(self._shards).where(*which).values(relay=relay))

    def _query(self) -> sa.Select[Any]:
        columns = self._shards.c
        return sa.select(columns.relay).where(columns.relation == self._relation).order_by(columns.shard)

    def _is(self, relay: str) -> tuple[sa.ColumnElement[bool], ...]:
        return self._relays.c.relation == self._relation, self._relays.c.relay == relay

    def _holds(self, relay: str) -> tuple[sa.ColumnElement[bool], ...]:
        return self._shards.c.relation == self._relation, self._shards.c.relay == relay


def _holders(connection: sa.Connection, query: sa.Select[Any]) -> Holders:
    return tuple(row.relay for row in connection.execute(query))
