"""Random tables, keys, conditions, sizes, limits and stops: the end is always that of one statement."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from batchops.events import Committed, Event
from batchops.runtime.stop import Stop
from tests.conftest import NewDatabase
from tests.databases.numbered import Job
from tests.services.database import Database

PREDICATES = (
    "v = 0",
    "v IS NULL",
    "v > 1 OR v IS NULL",
    "v <> 2",
    "k1 > 3",
    "k2 LIKE 'a%'",
    "v < 0",
    "1 = 1",
    "v + k1 > 4",
)
VALUES = ("v = v + 1", "v = 5", "v = NULL", "v = coalesce(v, 0) - k1")
KEYS = ("PRIMARY KEY (k1, k2)", "PRIMARY KEY (k2, k1)", "UNIQUE (k2, k1)")
EXAMPLES = {"sqlite": 20, "postgresql": 4, "mariadb": 4}
LONG = {"sqlite": 600, "postgresql": 150, "mariadb": 150}


@dataclass(frozen=True)
class Turn:
    """One run: how it is sized, and what ends it early."""

    batch_size: int | None
    max_rows: int | None
    max_batches: int | None
    stop_after: int | None


turns = st.builds(
    Turn,
    st.one_of(st.none(), st.integers(1, 9)),
    st.one_of(st.none(), st.integers(1, 20)),
    st.one_of(st.none(), st.integers(1, 4)),
    st.one_of(st.none(), st.integers(1, 4)),
)
rows = st.dictionaries(
    st.tuples(st.integers(-4, 8), st.text("abA é'%:", max_size=3).map(lambda t: f"{t}.")),
    st.one_of(st.none(), st.integers(-1, 3)),
    max_size=40,
)
jobs = st.fixed_dictionaries(
    {
        "verb": st.sampled_from(["purge", "backfill"]),
        "key": st.sampled_from(KEYS),
        "where": st.sampled_from(PREDICATES),
        "set": st.sampled_from(VALUES),
        "strategy": st.sampled_from(["auto", "key"]),
        "turns": st.lists(turns, max_size=5),
        "rows": rows,
    }
)


def run(job: Job, turn: Turn) -> str:
    stop, seen = Stop(), 0

    def hear(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, Committed)
        if turn.stop_after is not None and seen >= turn.stop_after:
            stop.ask("stopped")

    limits = {"batch_size": turn.batch_size, "max_rows": turn.max_rows, "max_batches": turn.max_batches}
    finished = job(hear=hear, stop=stop, **limits)
    assert finished.exit == 0, finished
    return finished.reason


def check(database: Database, asked: dict[str, Any]) -> None:
    text = "varchar(9) COLLATE utf8mb4_bin" if database.backend == "mysql" else "varchar(9)"
    for name in ("t", "plain", "batchops_worker", "batchops_run", "batchops_lease"):
        database.script(f"DROP TABLE IF EXISTS {name}")
    for name in ("t", "plain"):
        database.script(f"CREATE TABLE {name} (k1 integer NOT NULL, k2 {text} NOT NULL, v integer, {asked['key']})")
        if asked["rows"]:
            database.insert(name, ["k1", "k2", "v"], [(*key, value) for key, value in asked["rows"].items()])
    purge = asked["verb"] == "purge"
    more = {"strategy": asked["strategy"]} if purge else {"set": [asked["set"]]}
    job = Job(database, asked["verb"], where=asked["where"], **more)
    reasons = [run(job, turn) for turn in asked["turns"]]
    # A backfill that is done and begun again would be applied again where that changes nothing, and only there.
    if "done" not in reasons:
        reasons.append(run(job, Turn(None, None, None, None)))
    database.script(
        f"DELETE FROM plain WHERE {asked['where']}"
        if purge
        else f"UPDATE plain SET {asked['set']} WHERE {asked['where']}"
    )
    content = "SELECT k1, k2, v FROM {} ORDER BY k1, k2, v"
    assert database.rows(content.format("t")) == database.rows(content.format("plain"))


def explore(database: Database, examples: int) -> None:
    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        derandomize=True, phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )  # fmt: skip
    @given(jobs)
    @example(
        {
            "verb": "backfill", "key": KEYS[0], "where": "v <> 2", "set": "v = v + 1", "strategy": "auto",
            "turns": [Turn(2, 3, None, None), Turn(1, None, None, 1), Turn(3, 5, 1, None)],
            "rows": {(i // 5 - 3, "abcde"[i % 5]): i % 3 for i in range(30)},
        }
    )  # fmt: skip
    def explored(asked: dict[str, Any]) -> None:
        check(database, asked)

    explored()


@pytest.mark.full
@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.in_turn
def test_random(new_database: NewDatabase, name: str) -> None:
    explore(new_database(name), EXAMPLES[name])


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", LONG)
def test_random_for_long(new_database: NewDatabase, name: str) -> None:
    explore(new_database(name), LONG[name])
