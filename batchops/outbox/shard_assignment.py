"""How the shards of an outbox are shared out among its relays: arithmetic only, the same in every relay."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Member:
    """A live relay of an outbox."""

    relay: str
    """The token that proves it."""
    stays: bool
    """Whether it stays up (--poll). One that does not takes free shards only, and is given none by others."""


Holders = tuple[str | None, ...]
"""The relay of each shard, by the shard's number; None: the shard is free."""


def shared_out(holders: Holders, live: Sequence[Member], asks: str) -> Holders:
    """The holders once every free shard has a relay; shards of relays that are not live are free.

    Every free shard goes to the relay that `asks` if that one does not stay, else to the relay with the fewest.
    """
    known = {member.relay for member in live}
    after = [holder if holder in known else None for holder in holders]
    stays = [member.relay for member in live if member.stays]
    for shard, holder in enumerate(after):
        if holder is None:
            after[shard] = _poorest(after, stays) if asks in stays else asks
    return tuple(after)


def handed_over(holders: Holders, live: Sequence[Member], gives: str) -> tuple[int, str] | None:
    """The shard that a relay hands over, and to which; None where it has no surplus.

    A relay has a surplus while another has at least two fewer, so each ends with at most ceil(shares / relays).
    Relays that do not stay neither give nor are given to.
    """
    stays = [member.relay for member in live if member.stays]
    if gives not in stays:
        return None
    poorest = _poorest(holders, stays)
    mine = [shard for shard, holder in enumerate(holders) if holder == gives]
    return (mine[-1], poorest) if len(mine) - holders.count(poorest) >= 2 else None


def _poorest(holders: Sequence[str | None], relays: Sequence[str]) -> str:
    counted = Counter(holders)
    return min(relays, key=lambda relay: counted[relay])
