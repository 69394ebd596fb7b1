"""The connection breaks around COMMIT: the ledger tells what is durable, nothing is guessed."""

import pytest

from tests.command import Batchops
from tests.crash.scenario import COUNT_UP, MATCHING, PURGE, Scenario
from tests.services.database import Database
from tests.services.proxy import Mode, Proxy

pytestmark = pytest.mark.in_turn

WRITES = {"backfill": "update t", "purge": "delete from"}


@pytest.mark.wide(2)
@pytest.mark.parametrize("mode", ["cut_after", "cut_before"])
@pytest.mark.parametrize("scenario", [COUNT_UP, PURGE], ids=["backfill", "purge"])
def test_every_third_commit_is_cut(batchops: Batchops, everywhere: Database, scenario: Scenario, mode: Mode) -> None:
    with Proxy(everywhere.url, mode, every=3, of="touched" if scenario is COUNT_UP else "delete") as proxy:
        done = batchops(scenario.verb, *scenario.arguments, "--url", proxy.url, "-y", "--json", "--batch-size", "200")
        assert proxy.cut >= 2
    assert done.code == 0, done
    assert scenario.wrong(everywhere) is None
    document = done.json()
    assert document["rows"] == MATCHING
    assert document["retries"] >= 2


@pytest.mark.wide(1)
@pytest.mark.parametrize("scenario", [COUNT_UP, PURGE], ids=["backfill", "purge"])
def test_killed_after_a_lost_answer(batchops: Batchops, served: Database, scenario: Scenario) -> None:
    """Every COMMIT's answer is lost and there is no patience: the run gives up, the next one asks the ledger."""
    with Proxy(served.url, "cut_after", every=2, of="touched" if scenario is COUNT_UP else "delete") as proxy:
        gave_up = batchops(
            scenario.verb, *scenario.arguments, "--url", proxy.url, "-y", "--json",
            "--batch-size", "200", "--retry-timeout", "0s",
        )  # fmt: skip
    assert gave_up.code == 75, gave_up
    assert gave_up.json()["reason"] == "busy"
    done = batchops(scenario.verb, *scenario.arguments, "--url", served.url, "-y", "--json", "--batch-size", "200")
    assert done.code == 0, done
    assert done.json()["rows"] == MATCHING
    assert scenario.wrong(served) is None


def test_the_answer_to_the_beginning_is_lost(batchops: Batchops, served: Database) -> None:
    """The ledger tells whether the run has begun: the process does not take its own lease for another's."""
    with Proxy(served.url, "cut_after", of="insert into batchops_run", times=1) as proxy:
        done = batchops(PURGE.verb, *PURGE.arguments, "--url", proxy.url, "-y", "--json", "--retry-timeout", "0s")
        assert proxy.cut == 1
    assert done.code == 0, done
    assert PURGE.wrong(served) is None
    assert served.scalar("SELECT count(*) FROM batchops_run") == 1
