"""Two minutes of three schedulers, one of which is killed: for the long tier, its figures printed."""

import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from batchops.spec.times import Every, FireTimes, cron
from tests.command import Batchops
from tests.figures import Figures
from tests.scheduler.scene import GOOD, LEFT, PURGE, ev, more, recipe, there, told
from tests.scheduler.test_schedule import stop
from tests.services.database import Database
from tests.waiting import until

DRAIN = """verb = "drain"
table = "jobs"
where = "status = 'pending'"
done = "status = 'done'"
set = ["n = n + 1"]
lease-in = "none"
batch-size = 20
sleep = "100ms"
max-rows = 300"""
"""At most 300 rows a fire, and 150 a second and a half: more comes in than fits."""


@pytest.mark.full
@pytest.mark.timeout(300)
def test_two_minutes(batchops: Batchops, database: Database, tmp_path: Path, figures: Figures) -> None:
    ev(database, 500)
    database.execute("CREATE TABLE jobs (id integer PRIMARY KEY, status varchar(10) NOT NULL, n integer NOT NULL)")
    database.insert("jobs", ("id", "status", "n"), [(n, "pending", 0) for n in range(20_000)])
    file = recipe(
        tmp_path / "r.toml", database, purge=f'{PURGE}\nevery = "2s"', drain=f'{DRAIN}\nevery = "5s"',
        minutely=f'{PURGE.replace("1", "2")}\ncron = "* * * * *"\ntime-zone = "Europe/Berlin"',
    )  # fmt: skip
    processes = [batchops.start("schedule", file, "-q") for _ in range(3)]
    until(lambda: there(database), processes[0])
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < 125:
        more(database, 40)
        if passed > 60 and len(processes) == 3:
            processes.pop(0).kill()
        time.sleep(1)
    ends = [stop(process) for process in processes]
    assert [code for code, *_ in ends] == [0, 0], ends
    times: dict[str, FireTimes] = {
        "purge": Every(2),
        "drain": Every(5),
        "minutely": cron("* * * * *", ZoneInfo("Europe/Berlin")),
    }
    found = told(database, times)
    for job, each in found.items():
        figures(**{job: f"{dict(each.states)}, longest wait {each.longest_wait:.1f} s"})
    assert [each.wrong for each in found.values()] == [(), (), ()]
    assert {state for each in found.values() for state in each.states} <= {*GOOD, *LEFT}
    assert sum(found["minutely"].states.values()) >= 2
    assert database.rows("SELECT DISTINCT n FROM jobs WHERE status = 'done'") == [(1,)]
