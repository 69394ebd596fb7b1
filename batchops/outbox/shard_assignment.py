"""Decides how an outbox's shards are shared among its relays: by arithmetic only, the same in every relay."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Member:
    """A live relay of an outbox."""

    relay: str
    """The token that identifies the relay."""
    stays: bool
    """Whether it stays up (--poll). A relay that does not gets free shards only, and none from other relays."""


Holders = tuple[str | None, ...]
"""The relay of each shard, by the shard's number; None: the shard is free."""


def shared_out(holders: Holders, live: Sequence[Member], asks: str) -> Holders:
    """Return the holders after each free shard got a relay. Shards of relays that are not live count as free.

    The relay that `asks` gets each free shard if it does not stay; otherwise the relay with the fewest shards gets it.
    """
    known = {member.relay for member in live}
    after = [holder if holder in known else None for holder in holders]
    stays = [member.relay for member in live if member.stays]
    for shard, holder in enumerate(after):
        if holder is None:
            after[shard] = _with_fewest(after, stays) if asks in stays else asks
    return tuple(after)


def handed_over(holders: Holders, live: Sequence[Member], gives: str) -> tuple[int, str] | None:
    """Return the shard that a relay hands over, and the relay that gets it; None if it has no surplus.

    A relay has a surplus while another has at least two shards fewer. So each ends with at most ceil(shards / relays).
    Relays that do not stay neither give nor get shards.
    """
    stays = [member.relay for member in live if member.stays]
    if gives not in stays:
        return None
    fewest = _with_fewest(holders, stays)
    mine = [shard for shard, holder in enumerate(holders) if holder == gives]
    return (mine[-1], fewest) if len(mine) - holders.count(fewest) >= 2 else None


def _with_fewest(holders: Sequence[str | None], relays: Sequence[str]) -> str:
    counted = Counter(holders)
    return min(relays, key=lambda relay: counted[relay])
