"""What becomes of due fires: each gets one decision, whatever is at work, waits or was missed."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchops.scheduler.misfires import Decision, MisfirePolicy, OpenFires, Schedule, decide
from batchops.spec.times import Every

NOW = 1000.0
fires = st.lists(st.integers(0, 300), unique=True, max_size=4).map(lambda found: tuple(sorted(found)))
standings = st.builds(OpenFires, fires, fires, fires)
policies = st.builds(
    MisfirePolicy,
    overlap=st.sampled_from(["skip", "queue", "parallel"]),
    missed=st.sampled_from(["once", "skip", "all"]),
    misfire_grace_time=st.one_of(st.none(), st.floats(0, 500)),
)


@given(policy=policies, standing=standings, due=st.lists(st.integers(301, 1000), unique=True).map(sorted), free=...)
def test_each_due_fire_gets_one_decision(
    policy: MisfirePolicy, standing: OpenFires, due: list[int], free: bool
) -> None:
    decision = decide(policy, standing, due, NOW, free=free)
    begun = [one.fire_at for one in decision.new if one.state == "running"]
    if decision.waits:
        assert decision == Decision(waits=True)
        assert not free
    else:
        assert [one.fire_at for one in sorted(decision.new, key=lambda one: one.fire_at)] == due
    assert len(begun) + (decision.start is not None) <= (1 if free else 0)
    if standing.running and policy.overlap != "parallel":
        assert not begun
        assert decision.start is None
    if decision.start is not None:
        assert decision.start == min(standing.abandoned or standing.queued)


@pytest.mark.parametrize(
    ("policy", "standing", "states"),
    [
        (MisfirePolicy(), OpenFires(), {"coalesced": 3, "running": 1}),
        (MisfirePolicy(missed="skip"), OpenFires(), {"skipped": 3, "running": 1}),
        (MisfirePolicy(missed="all"), OpenFires(), {"running": 1, "queued": 3}),
        (MisfirePolicy(), OpenFires(running=(1,)), {"skipped": 4}),
        (MisfirePolicy(overlap="queue"), OpenFires(running=(1,)), {"coalesced": 3, "queued": 1}),
        (MisfirePolicy(overlap="queue"), OpenFires(running=(1,), queued=(2,)), {"coalesced": 4}),
        (MisfirePolicy(overlap="parallel"), OpenFires(running=(1,)), {"coalesced": 3, "running": 1}),
        (MisfirePolicy(), OpenFires(abandoned=(1,)), {"coalesced": 3, "queued": 1}),
        (MisfirePolicy(missed="skip"), OpenFires(abandoned=(1,)), {"skipped": 3, "queued": 1}),
        (MisfirePolicy(misfire_grace_time=15), OpenFires(), {"skipped": 2, "coalesced": 1, "running": 1}),
        (MisfirePolicy(misfire_grace_time=5), OpenFires(), {"skipped": 4}),
    ],
)
def test_as_the_table_says(policy: MisfirePolicy, standing: OpenFires, states: dict[str, int]) -> None:
    decision = decide(policy, standing, [970, 980, 990, 994], NOW, free=True)
    assert Counter(one.state for one in decision.new) == states


def test_jitter_is_the_same_everywhere() -> None:
    one, other = (Schedule(name, Every(60), MisfirePolicy(jitter=10)) for name in ("a", "b"))
    delays = [one.due_at(at) - at for at in range(0, 6000, 60)]
    assert delays == [Schedule("a", Every(60), MisfirePolicy(jitter=10)).due_at(at) - at for at in range(0, 6000, 60)]
    assert delays != [other.due_at(at) - at for at in range(0, 6000, 60)]
    assert 0 <= min(delays) < 2
    assert 8 < max(delays) < 10
