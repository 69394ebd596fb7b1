"""`batchops run`: needs and order, one summary, one exit code, one question."""

import io
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from batchops.cli.app import main
from tests.cli.conftest import Cli, everything, filled
from tests.command import Batchops
from tests.services.database import Database
from tests.waiting import ended, signalled, until

RECIPE = """
[params]
kind = { type = "integer", default = 1 }
note = { type = "text", default = "seen" }

[defaults]
url = "env:SHOP"
batch-size = 50

[job.last]
verb = "purge"
table = "ev"
where = "kind = :kind AND note = :note"
needs = ["first"]

[job.first]
verb = "backfill"
table = "ev"
where = "kind = :kind"
set = "note = :note"

[job.aside]
verb = "purge"
table = "ev"
where = "kind = 9"
max-rows = 60
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "nightly.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def shop(ev: Database) -> dict[str, str]:
    return {"SHOP": ev.url}


def changed(recipe: Path, old: str, new: str) -> Path:
    recipe.write_text(recipe.read_text().replace(old, new))
    return recipe


@pytest.mark.in_turn
def test_in_order_of_needs(cli: Cli, recipe: Path, shop: dict[str, str], ev: Database) -> None:
    told = cli("run", recipe, "-y", env=shop)
    lines = told.out.splitlines()
    assert (told.code, told.own_err) == (0, "")
    assert [line.split(":")[0] for line in lines[:3]] == ["first", "last", "aside"]
    assert "backfill ev: done: 100 rows updated" in lines[0]
    assert f"to continue: batchops run {recipe} aside" in lines[2]
    assert lines[3].startswith(f"{recipe}: 3 jobs: 2 done, 1 max-rows; 260 rows in ")
    assert ev.rows("SELECT count(*) FROM ev WHERE kind = 1") == [(0,)]
    assert ev.rows("SELECT count(*) FROM ev WHERE kind = 9") == [(40,)]


@pytest.mark.in_turn
def test_some_of_them_and_a_value(cli: Cli, recipe: Path, shop: dict[str, str], ev: Database) -> None:
    told = cli("run", recipe, "last", "--param", "kind=2", "-y", "--json", env=shop)
    document = told.json()
    assert (told.code, document["exit"], document["recipe"]) == (0, 0, str(recipe))
    assert [(job["job"], job["verb"], job["rows"]) for job in document["jobs"]] == [
        ("first", "backfill", 100),
        ("last", "purge", 100),
    ]
    assert ev.rows("SELECT count(*) FROM ev") == [(900,)]


def test_quiet_says_nothing_of_what_is_well(cli: Cli, recipe: Path, lite: Database) -> None:
    told = cli("run", recipe, "-yq", env={"SHOP": lite.url})
    assert (told.code, told.out, told.err) == (0, "", "")


def test_a_failure_is_one_line_and_stops_only_what_needs_it(cli: Cli, recipe: Path, lite: Database) -> None:
    changed(recipe, 'set = "note = :note"', 'set = "nota = :note"')
    told = cli("run", recipe, "-yq", env={"SHOP": lite.url})
    assert (told.code, told.err) == (2, "")
    assert told.out == (
        "first: backfill ev: not started, because of a flag or value: --set: "
        'table "ev" has no column "nota". Hint: did you mean "note"?\n'
    )
    assert lite.rows("SELECT count(*) FROM ev") == [(1000 - 60,)]
    loud = cli("run", recipe, "-y", "--json", env={"SHOP": lite.url})
    jobs = {job["job"]: job for job in loud.json()["jobs"]}
    assert [jobs[name]["reason"] for name in ("first", "last", "aside")] == ["usage", "skipped", "done"]
    assert (jobs["last"]["exit"], jobs["last"]["error"]["message"]) == (
        None,
        'it needs "first", which is not done: usage',
    )
    assert 'last: skipped: it needs "first"' in loud.err


def test_what_a_limit_ended_is_not_done(cli: Cli, recipe: Path, lite: Database) -> None:
    """Not a failure; but what needs it waits for another day."""
    changed(recipe, 'set = "note = :note"', 'set = "note = :note"\nmax-rows = 10')
    told = cli("run", recipe, "last", "-y", env={"SHOP": lite.url})
    assert (told.code, lite.rows("SELECT count(*) FROM ev")) == (0, [(1000,)])
    assert told.err == 'last: skipped: it needs "first", which is not done: max-rows\n'


def test_the_gravest_code(cli: Cli, recipe: Path, lite: Database) -> None:
    changed(recipe, 'table = "ev"\nwhere = "kind = 9"', 'table = "evv"\nwhere = "kind = 9"')
    changed(recipe, 'set = "note = :note"', 'set = "id = 1"')
    assert cli("run", recipe, "aside", "-yq", env={"SHOP": lite.url}).code == 10
    assert cli("run", recipe, "-yq", env={"SHOP": lite.url}).code == 12


def test_a_dry_run_plans_all_and_changes_nothing(cli: Cli, recipe: Path, lite: Database) -> None:
    before = everything(lite)
    told = cli("run", recipe, "--dry-run", env={"SHOP": lite.url})
    assert (told.code, told.err, everything(lite)) == (0, "", before)
    assert [line for line in told.out.splitlines() if not line.startswith(" ")] == [
        "first: backfill ev", "last: purge ev", "aside: purge ev",
    ]  # fmt: skip
    document = cli("run", recipe, "--dry-run", "--json", env={"SHOP": lite.url}).json()
    assert [job["reason"] for job in document["jobs"]] == ["dry-run"] * 3
    assert document["jobs"][0]["plan"]["set"] == ["note = 'seen'"]


def test_without_a_terminal_somebody_must_have_said_yes(cli: Cli, recipe: Path, lite: Database) -> None:
    told = cli("run", recipe, env={"SHOP": lite.url})
    assert (told.code, told.out) == (2, "")
    assert "--yes" in told.err
    assert cli("run", recipe, "--json").json()["jobs"] == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 840), ("n\n", 1, 1000)])
def test_one_question_for_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], recipe: Path, lite: Database, answer: str,
    code: int, left: int,
) -> None:  # fmt: skip
    monkeypatch.setenv("SHOP", lite.url)
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    with pytest.raises(SystemExit) as ended:
        main(["run", str(recipe)])
    told = capsys.readouterr()
    assert ended.value.code == code
    assert told.err.count("[y/N]") == 1
    assert "Run these 3 jobs?" in told.err
    assert "first SQL" not in told.err
    assert re.search(r"^first: backfill ev: .* rows? .*by key", told.err, re.MULTILINE), told.err
    assert lite.rows("SELECT count(*) FROM ev") == [(left,)]


def test_events_name_their_job(cli: Cli, recipe: Path, lite: Database, tmp_path: Path) -> None:
    file = tmp_path / "events"
    assert cli("run", recipe, "-yq", "--events", file, env={"SHOP": lite.url}).code == 0
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(e["job"], e["exit"]) for e in events if e["event"] == "finished"] == [
        ("first", 0),
        ("last", 0),
        ("aside", 0),
    ]


def test_a_recipe_with_mistakes_runs_nothing(cli: Cli, recipe: Path, lite: Database) -> None:
    changed(recipe, "batch-size = 50", "batch-size = 0\nstrategys = 1")
    told = cli("run", recipe, "-y", env={"SHOP": lite.url})
    assert (told.code, told.out) == (2, "")
    assert "has 2 mistakes" in told.err
    assert 'line 8: batch-size: "0" is not allowed' in told.err
    assert 'line 9: defaults has no key "strategys". Hint: did you mean "strategy"?' in told.err


def test_a_signal_ends_it_after_the_batch_in_hand(batchops: Batchops, recipe: Path, lite: Database) -> None:
    changed(recipe, "batch-size = 50", 'batch-size = 5\nsleep = "400ms"')
    process = batchops.start("run", recipe, "-y", env={"SHOP": lite.url})
    until(lambda: lite.rows("SELECT 1 FROM ev WHERE note = 'seen'"), process)
    process.send_signal(signal.SIGTERM)
    code, out, err = ended(process)
    assert code == 143
    assert "first: backfill ev: ended by SIGTERM" in out
    assert "last: skipped: stopped before it started" in err
    assert "aside: skipped: stopped before it started" in err
    assert 0 < lite.rows("SELECT count(*) FROM ev WHERE note = 'seen'")[0][0] < 100
    assert lite.rows("SELECT count(*) FROM ev") == [(1000,)]


def test_killed_it_goes_on_by_the_same_command(batchops: Batchops, cli: Cli, recipe: Path, lite: Database) -> None:
    """Each row once, though it is not idempotent: the value of the parameter is part of what the job is."""
    lite.execute("ALTER TABLE ev ADD n integer DEFAULT 0")
    text = (
        '[params]\nstep = { type = "integer" }\n[job.add]\nverb = "backfill"\ntable = "ev"\nall-rows = true\n'
        'set = "n = n + :step"\nbatch-size = 100\n'
    )
    recipe.write_text(text + 'sleep = "1h"\n')
    words = ("run", recipe, "-y", "--json", "--param")
    process = batchops.start(*words, "step=2", env={"BATCHOPS_URL": lite.url})
    until(lambda: lite.rows("SELECT 1 FROM ev WHERE n > 0"), process)
    process.kill()
    process.communicate()
    assert lite.scalar("SELECT count(*) FROM ev WHERE n > 0") == 100
    recipe.write_text(text)  # how long it rests is no part of what it is
    done = [cli(*words, step, env={"BATCHOPS_URL": lite.url}).json()["jobs"][0] for step in ("step=2", "step=2")]
    assert [(job["run"], job["rows"], job["reason"]) for job in done] == [(1, 1000, "done"), (1, 0, "already-done")]
    assert lite.rows("SELECT DISTINCT n FROM ev") == [(2,)]
    (other,) = cli(*words, "step=3", env={"BATCHOPS_URL": lite.url}).json()["jobs"]
    assert (other["run"], other["rows"], lite.rows("SELECT DISTINCT n FROM ev")) == (2, 1000, [(5,)])


def test_a_second_signal_breaks_off_the_batch_in_hand(
    batchops: Batchops, recipe: Path, new_database: Callable[..., Database]
) -> None:
    """It waits for a row that this test holds; the first signal alone would let it wait on."""
    ev = filled(new_database("postgresql"))
    changed(recipe, "batch-size = 50", 'lock-timeout = "1h"\ngrace = "1h"\nbatch-size = 1000')
    with ev.engine.connect() as holder:
        holder.execute(text("SELECT * FROM ev WHERE id = 1 FOR UPDATE"))
        process = batchops.start("run", recipe, "-y", env={"SHOP": ev.url})
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        until(lambda: ev.rows(waiting), process)
        signalled(process, signal.SIGTERM)
        signalled(process, signal.SIGTERM)
        code, out, err = ended(process)
    assert (code, err.count("stopped before it started")) == (143, 2)
    assert "first: backfill ev: ended by SIGTERM" in out
    assert ev.rows("SELECT count(*) FROM ev WHERE note = 'seen'") == [(0,)]


def test_a_password_in_a_recipe_is_told_of(cli: Cli, recipe: Path, postgresql: Database) -> None:
    recipe.write_text(
        f'[job.a]\nverb = "purge"\ndescription = "all of it"\ntable = "ev"\nurl = "{postgresql.url}"\nall-rows = true\n'
    )
    filled(postgresql)
    told = cli("run", recipe, "--dry-run")
    assert (told.code, told.out.splitlines()[0]) == (0, "a: purge ev  (all of it)")
    assert told.err.startswith("warning: The recipe contains a password")
    assert told.err.count("warning") == 1
    assert make_url(postgresql.url).password not in told.out + told.err


def test_github_shows_a_table(cli: Cli, recipe: Path, lite: Database, tmp_path: Path) -> None:
    page = tmp_path / "summary.md"
    env = {"SHOP": lite.url, "GITHUB_STEP_SUMMARY": str(page)}
    changed(recipe, 'set = "note = :note"', 'set = "nota = :note"')
    assert cli("run", recipe, "-yq", env=env).code == 2
    lines = page.read_text().splitlines()
    assert lines[:4] == [
        "### batchops",
        "",
        "| job | ended | exit | rows | batches | time |",
        "|---|---|--:|--:|--:|--:|",
    ]
    assert lines[4].startswith(
        '| first | not started, because of a flag or value: --set: table "ev" has no column "nota". Hint: '
    )
    assert lines[5] == '| last | skipped: it needs "first", which is not done: usage | | | | |'
    assert lines[6].startswith("| aside | ended by --max-rows | 0 | 60 | ")
    page.unlink()
    assert cli("purge", "ev", "--url", lite.url, "--where", "kind = 8", "-yq", env=env).code == 0
    assert page.read_text().splitlines()[4].startswith("| purge ev | done | 0 | 100 | ")
    page.unlink()
    assert cli("purge", "no|such<b>", "--url", lite.url, "--all-rows", "-yq", env=env).code == 10
    (row,) = page.read_text().splitlines()[4:5]
    assert row.startswith("| purge no\\|such&lt;b&gt; | there is no such table: There is no table ")


def test_what_would_never_come_to_an_end(cli: Cli, recipe: Path) -> None:
    recipe.write_text(
        '[job.up]\nverb = "drain"\ntable = "ev"\nwhere = "1 = 1"\ndelete = true\nset = "kind = 1"\npoll = "1s"\n'
        '[job.after]\nverb = "purge"\ntable = "ev"\nall-rows = true\n'.replace('set = "kind = 1"\n', 'exec = "true"\n')
    )
    told = cli("run", recipe, "-y")
    assert (told.code, told.err.splitlines()[0]) == (
        2, 'error: Job "up" does not end (poll), so the jobs after it would never run.',
    )  # fmt: skip


def test_a_relay_to_stdout_has_it_to_itself(batchops: Batchops, cli: Cli, recipe: Path, sqlite: Database) -> None:
    sqlite.execute(
        "CREATE TABLE outbox (id integer PRIMARY KEY, aggregate_type text, aggregate_id text, event_type text, "
        "payload text, created_at timestamp, sent boolean DEFAULT false)"
    )
    sqlite.execute("INSERT INTO outbox VALUES (1, 'order', '7', 'paid', '{}', '2026-01-01 00:00:00', false)")
    recipe.write_text('[job.out]\nverb = "relay"\ntable = "outbox"\nto = "-"\n')
    env = {"BATCHOPS_URL": sqlite.url}
    assert cli("run", recipe, "--json", env=env).code == 2
    told = batchops.apart("run", recipe, env=env)
    assert (told.code, json.loads(told.out)["key"]) == (0, "7")
    assert told.err.startswith("out: relay outbox: done: 1 row relayed")


def test_an_address_to_post_to_is_fetched(cli: Cli, recipe: Path, lite: Database) -> None:
    recipe.write_text('[job.post]\nverb = "drain"\ntable = "ev"\nwhere = "1 = 1"\ndelete = true\npost = "env:HOOK"\n')
    told = cli("run", recipe, "-q", env={"BATCHOPS_URL": lite.url})
    assert (told.code, told.out) == (
        2, "post: drain ev: not started, because of a flag or value: There is no environment variable "
        '"HOOK" to take the address to post to from.\n',
    )  # fmt: skip
