"""The shards of an outbox that this process owns, under a lease that each marking transaction proves."""

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
"""The most seconds between two looks of a relay without a shard."""


class Shards:
    """Shares the outbox with other relays. One thread calls `look` and `change`; a heartbeat thread renews the lease.

    `look` finds out which shards are assigned. `change` adopts them, once no message of this relay is in flight.
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
        """Return the seconds until the next look; 0 or less: look now."""
        every = self._lease.seconds / RENEWALS
        return self._looked + (every if self.mine else min(every, STANDBY)) - self._clock()

    def look(self) -> None:
        """Register or renew this relay, free the shards of relays that are gone, and share out free shards.

        A relay that has shards waits for no other one: it looks again later. Raise LockedError if another relay has
        taken over, or runs with another number of shards.
        """
        with self._database.transaction() as connection:
            before = self._registry.locked(connection, wait=not self.mine)
            if self.mine and len(before) != self.count:  # another relay looks, or is frozen while it does
                self.prove(connection)
                self._looked = self._clock()
                return
            there = self._registry.relays(connection)
            others = [one for one in there if one.relay != self._me.relay]
            # One that stays looks again soon. It goes on with its own shards while another is frozen.
            others = self._registry.remove_gone(connection, others, wait=not self._me.stays)
            before = self._with_layout(connection, before, others)
            self._renew_or_register(connection)
            live = [*(one.member for one in others), self._me]
            after = shared_out(before, live, self._me.relay)
            self._registry.assign(connection, before, after)
        self.others = others
        self._registered = True
        self._assigned = self._of(after)
        self._surplus = handed_over(after, live, self._me.relay) is not None
        self._looked = self._clock()

    def change(self) -> bool:
        """Hand over one shard if there is a surplus, and adopt the assigned shards; whether any of them is new.

        Call it only while no message is in flight: sent events of a shard must be marked before another relay gets it.
        """
        if self._surplus:
            self._hand_over()
            self._surplus = False
        new = not set(self._assigned) <= set(self.mine)
        self.mine = self._assigned
        return new

    def prove(self, connection: sa.Connection) -> None:
        """Renew the lease in the caller's own transaction; raise LockedError if another relay has taken over."""
        if not self._renewed(connection):
            raise self.taken_over()

    def renew(self) -> None:
        """Renew the lease in a transaction of its own; raise LockedError if another relay has taken over."""
        with self._database.transaction() as connection:
            self.prove(connection)

    @property
    def certain(self) -> bool:
        """Whether the lease cannot have ended since it was last renewed."""
        return self._lease.certain

    def taken_over(self) -> LockedError:
        """Return the error for a lease that has ended, after which another relay got the shards."""
        return LockedError(
            f'Another relay has taken over "{self._relation}"; this one marked nothing more.',
            f"see `batchops outbox show {quoted(self._relation)}`.",
        )

    @contextmanager
    def heartbeat(self, threads: Threads, lost: Callable[[], None]) -> Iterator[None]:
        """Renew the lease from a thread, three times in its length; call `lost` once another relay has taken over.

        The end of the block frees the shards.
        """

        def held() -> list[Renewal]:
            return [(self._lease, self._renew_in_thread)] if self._registered else []

        try:
            with heartbeat(threads, self._lease.seconds, held, lost):
                yield
        finally:
            self._leave()

    def _renew_in_thread(self) -> bool:
        """Renew the lease; False once another relay has taken over shards of this one."""
        with self._database.transaction() as connection:
            self._registered = self._registry.renew(connection, self._me.relay, self._lease.seconds)
        return self._registered or not self.mine

    def _renewed(self, connection: sa.Connection) -> bool:
        return self._lease.renew(lambda: self._registry.renew(connection, self._me.relay, self._lease.seconds))

    def _leave(self) -> None:
        """Free the shards and remove this relay. If that fails, the lease ends by itself."""
        self.mine = self._assigned = ()
        if self._registered:
            with suppress(BatchopsError), self._database.transaction() as connection:
                self._registry.remove(connection, self._me.relay)
        self._registered = False

    def _renew_or_register(self, connection: sa.Connection) -> None:
        """Renew the lease, or register again if this relay had no shard; raise LockedError if it had one."""
        if self._renewed(connection):
            return
        if self.mine:
            raise self.taken_over()
        self._lease.renew(lambda: self._registry.register(connection, self._me, self.count, self._lease.seconds))

    def _with_layout(self, connection: sa.Connection, before: Holders, others: Sequence[Registered]) -> Holders:
        if other := next((one for one in others if one.shards != self.count), None):
            raise LockedError(
                f'Another relay divides "{self._relation}" into {other.shards} shards, this one into {self.count}: '
                f"{other.named}.",
                f"use --shards {other.shards} here too, or stop the other relays first.",
            )
        return before if len(before) == self.count else self._registry.lay_out(connection, self.count)

    def _hand_over(self) -> None:
        """Hand over one shard to the relay that now has the fewest, if those are still at least two fewer."""
        with self._database.transaction() as connection:
            before = self._registry.locked(connection, wait=False)
            if len(before) != self.count:
                return  # the next look finds the surplus again
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
