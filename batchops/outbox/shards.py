"""This process's shards of an outbox: taken, handed over, kept by a lease that every marking transaction proves."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import sqlalchemy as sa

from batchops.db.database import Database
from batchops.errors import BatchopsError, LockedError
from batchops.ledger.run import new_token
from batchops.outbox.relay_registry import Registered, Registry
from batchops.outbox.shard_assignment import Holders, Member, handed_over, shared_out
from batchops.runtime.heartbeat import Renewal, heartbeat
from batchops.runtime.lease import RENEWALS, LeaseClock
from batchops.runtime.threads import Threads
from batchops.spec.command_line import quoted

STANDBY = 2.0
"""Seconds between two looks, at the most, of a relay that has no shard."""


class Shards:
    """Shares the outbox with other relays. One thread looks and changes; a heartbeat thread renews the lease.

    `look` finds out what has changed. `change` makes it so, once no message of this relay is in flight.
    """

    def __init__(
        self, database: Database, registry: Registry, relation: str, count: int, seconds: float, *, stays: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`count`: shards of the outbox; `seconds`: length of the lease; `stays`: see Member."""
        self.mine: tuple[int, ...] = ()
        """The shards whose events this relay delivers."""
        self.count = count
        self.others: Sequence[Registered] = ()
        """The other live relays, by the last look."""
        self._database = database
        self._registry = registry
        self._relation = relation
        self._lease = LeaseClock(seconds, clock)
        self._clock = clock
        self._me = Member(new_token(), stays)
        self._registered = False
        self._assigned: tuple[int, ...] = ()
        self._surplus = False
        self._looked = float("-inf")

    @property
    def whole(self) -> bool:
        """Whether this relay has every shard."""
        return len(self.mine) == self.count

    @property
    def changing(self) -> bool:
        """Whether `change` has something to do."""
        return self._surplus or self._assigned != self.mine

    def due(self) -> float:
        """Seconds until the next look; 0 or less: now."""
        every = self._lease.seconds / RENEWALS
        return self._looked + (every if self.mine else min(every, STANDBY)) - self._clock()

    def look(self) -> None:
        """Register or renew, free the shards of relays that are gone, share out what is free.

        LockedError: another relay has taken over, or one with another number of shards is running.
        """
        with self._database.transaction() as connection:
            before = self._registry.locked(connection)
            there = self._registry.relays(connection)
            others = self._registry.remove_gone(connection, [one for one in there if one.relay != self._me.relay])
            before = self._laid_out(connection, before, others)
            self._present(connection)
            live = [*(one.member for one in others), self._me]
            after = shared_out(before, live, self._me.relay)
            self._registry.assign(connection, before, after)
        self.others = others
        self._registered = True
        self._assigned = self._of(after)
        self._surplus = handed_over(after, live, self._me.relay) is not None
        self._looked = self._clock()

    def change(self) -> bool:
        """Hand over one shard if there is a surplus, adopt what was assigned; whether any shard is new.

        Only while no message is in flight: what was sent of a shard is marked before another relay has it.
        """
        if self._surplus:
            self._hand_over()
            self._surplus = False
        new = not set(self._assigned) <= set(self.mine)
        self.mine = self._assigned
        return new

    def prove(self, connection: sa.Connection) -> None:
        """Renew the lease in the caller's own transaction; LockedError where another relay has taken over."""
        if not self._renewed(connection):
            raise self.taken_over()

    def renew(self) -> None:
        """Prove it in a transaction of its own."""
        with self._database.transaction() as connection:
            self.prove(connection)

    @property
    def certain(self) -> bool:
        """Whether the lease cannot have ended since it was last renewed."""
        return self._lease.certain

    def taken_over(self) -> LockedError:
        """What to say once the lease has ended and another relay has the shards."""
        return LockedError(
            f'Another relay has taken over "{self._relation}"; this one marked nothing more.',
            f"see `batchops outbox show {quoted(self._relation)}`.",
        )

    @contextmanager
    def heartbeat(self, threads: Threads, lost: Callable[[], None]) -> Iterator[None]:
        """Renew three times in a lease's length, from a thread; call `lost` once another relay has taken over.

        At the end of the block the shards are free.
        """

        def held() -> list[Renewal]:
            return [(self._lease, self._kept)] if self._registered else []

        try:
            with heartbeat(threads, self._lease.seconds, held, lost):
                yield
        finally:
            self._leave()

    def _kept(self) -> bool:
        """False once another relay has taken over shards that this one works on."""
        with self._database.transaction() as connection:
            self._registered = self._registry.renew(connection, self._me.relay, self._lease.seconds)
        return self._registered or not self.mine

    def _renewed(self, connection: sa.Connection) -> bool:
        return self._lease.renew(lambda: self._registry.renew(connection, self._me.relay, self._lease.seconds))

    def _leave(self) -> None:
        """Where this fails the lease ends by itself."""
        self.mine = self._assigned = ()
        if self._registered:
            with suppress(BatchopsError), self._database.transaction() as connection:
                self._registry.remove(connection, self._me.relay)
        self._registered = False

    def _present(self, connection: sa.Connection) -> None:
        """Renew, or register: a relay that waited without a shard may come back."""
        if self._renewed(connection):
            return
        if self.mine:
            raise self.taken_over()
        self._lease.renew(lambda: self._registry.register(connection, self._me, self.count, self._lease.seconds))

    def _laid_out(self, connection: sa.Connection, before: Holders, others: Sequence[Registered]) -> Holders:
        if other := next((one for one in others if one.shards != self.count), None):
            raise LockedError(
                f'Another relay divides "{self._relation}" into {other.shards} shards, this one into {self.count}: '
                f"{other.named}.",
                f"use --shards {other.shards} here too, or stop the other relays first.",
            )
        return before if len(before) == self.count else self._registry.lay_out(connection, self.count)

    def _hand_over(self) -> None:
        """One shard to the relay that has the fewest by now, if that is still two fewer."""
        with self._database.transaction() as connection:
            before = self._registry.locked(connection)
            others = [one for one in self._registry.relays(connection) if not one.gone]
            surplus = handed_over(before, [one.member for one in others], self._me.relay)
            after = list(before)
            if surplus is not None:
                shard, to = surplus
                after[shard] = to
            self._registry.assign(connection, before, tuple(after))
        self._assigned = self._of(tuple(after))

    def _of(self, holders: Holders) -> tuple[int, ...]:
        return tuple(shard for shard, holder in enumerate(holders) if holder == self._me.relay)
