"""How shards are shared out: relays that come, leave and die, with heartbeats counted instead of waited for."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil

from hypothesis import given, settings
from hypothesis import strategies as st

from batchops.outbox.shard_assignment import Holders, Member, handed_over, shared_out


@dataclass
class Scene:
    """An outbox whose relays look one after the other, once a heartbeat."""

    holders: Holders
    live: list[Member] = field(default_factory=list)

    def come(self, name: str, *, stays: bool = True) -> None:
        self.live.append(Member(name, stays))
        self.look(name)

    def go(self, name: str) -> None:
        """It ends, or its lease does: what it held is free."""
        self.live = [member for member in self.live if member.relay != name]

    def look(self, name: str) -> None:
        self.holders = shared_out(self.holders, self.live, name)

    def heartbeat(self) -> int:
        """Every relay looks and hands over what it may; how many shards were handed over."""
        handed = 0
        for member in self.live:
            self.look(member.relay)
            if (surplus := handed_over(self.holders, self.live, member.relay)) is not None:
                shard, to = surplus
                assert self.holders[shard] == member.relay
                self.holders = (*self.holders[:shard], to, *self.holders[shard + 1 :])
                handed += 1
        return handed

    def counts(self) -> list[int]:
        counted = Counter(self.holders)
        return sorted(counted[member.relay] for member in self.live if member.stays)


def free(shards: int) -> Scene:
    return Scene((None,) * shards)


def test_a_relay_alone_takes_every_shard() -> None:
    for stays in (True, False):
        scene = free(4)
        scene.come("a", stays=stays)
        assert scene.holders == ("a",) * 4


def test_a_newcomer_gets_its_share_one_shard_a_heartbeat() -> None:
    scene = free(4)
    scene.come("a")
    scene.come("b")
    assert scene.counts() == [0, 4]
    assert (scene.heartbeat(), scene.counts()) == (1, [1, 3])
    assert (scene.heartbeat(), scene.counts()) == (1, [2, 2])
    assert scene.heartbeat() == 0


def test_the_shards_of_a_dead_relay_go_to_the_survivors() -> None:
    scene = free(6)
    for name in "abc":
        scene.come(name)
    for _ in range(6):
        scene.heartbeat()
    scene.go("b")
    scene.look("c")
    assert scene.counts() == [3, 3]
    scene.go("a")
    scene.look("c")
    assert set(scene.holders) == {"c"}


def test_one_that_does_not_stay_takes_what_is_free_and_causes_no_hand_over() -> None:
    scene = free(3)
    scene.come("a")
    scene.come("once", stays=False)
    assert scene.heartbeat() == 0
    assert scene.holders == ("a",) * 3
    scene.go("a")
    scene.look("once")
    assert scene.holders == ("once",) * 3
    scene.come("b")
    assert scene.heartbeat() == 0, "what does not stay keeps what it has until its end"
    scene.go("once")
    scene.look("b")
    assert scene.holders == ("b",) * 3


def test_more_relays_than_shards() -> None:
    scene = free(2)
    for name in "abc":
        scene.come(name)
    for _ in range(4):
        scene.heartbeat()
    assert scene.counts() == [0, 1, 1]


@settings(max_examples=80)
@given(
    st.integers(1, 12),
    st.lists(st.tuples(st.sampled_from(["come", "come once", "go", "beat"]), st.integers(0, 5)), max_size=30),
)
def test_whatever_happens_no_shard_stays_free_and_all_end_level(shards: int, steps: list[tuple[str, int]]) -> None:
    scene = free(shards)
    for step, number in steps:
        names = [member.relay for member in scene.live]
        if step.startswith("come") and str(number) not in names:
            scene.come(str(number), stays=step == "come")
        elif step == "go":
            scene.go(str(number))
        else:
            assert scene.heartbeat() <= sum(member.stays for member in scene.live)
    scene.live = [member for member in scene.live if member.stays]
    handed = [scene.heartbeat() for _ in range(2 * shards + 2)]
    if scene.live:
        assert set(scene.holders) <= {member.relay for member in scene.live}
        assert max(scene.counts()) <= ceil(shards / len(scene.live))
        assert max(scene.counts()) - min(scene.counts()) <= 1
    assert handed[-1] == 0
    assert all(later == 0 for before, later in pairwise(handed) if before == 0), "it comes to rest"
