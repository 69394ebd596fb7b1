"""What the README says of schedules is true: each command is run on its recipe."""

import json
import shlex
import signal

from tests.cli.test_readme import SCHEDULE, blocks, sections
from tests.command import Batchops
from tests.services.database import Database
from tests.waiting import ended, until

SECTION = sections()[SCHEDULE]


def test_the_commands(batchops: Batchops, sqlite: Database) -> None:
    sqlite.execute("CREATE TABLE sessions (id integer PRIMARY KEY, expires_at timestamp)")
    sqlite.execute("CREATE TABLE jobs (id integer PRIMARY KEY, created_at timestamp)")
    sqlite.execute("INSERT INTO sessions VALUES (1, '2001-01-01 00:00:00'), (2, '2999-01-01 00:00:00')")
    (recipe,) = blocks("toml", SECTION)
    (batchops.home / "times.toml").write_text(recipe.replace('"20s"', '"1s"'))  # a test has less patience
    preview, stays = (shlex.split(line)[1:] for line in blocks("console", SECTION)[0].splitlines())
    env = {"BATCHOPS_URL": sqlite.url}
    shown = batchops(*preview, env=env)
    assert (shown.code, shown.out.count("02:30:00 CE")) == (0, 10), shown
    process = batchops.start(*stays, env=env)
    until(lambda: sqlite.column("SELECT id FROM sessions") == [2], process)
    process.send_signal(signal.SIGTERM)
    code, out, err = ended(process)
    assert (code, out) == (0, ""), err
    assert sqlite.column("SELECT id FROM sessions") == [2]
    assert all(json.loads(line) for line in err.splitlines())
    assert (
        'batchops_rows_total{batchops_job="sessions",table="sessions",verb="purge"} 1.0'
        in (batchops.home / "batchops.prom").read_text()
    )
