"""What is wrong is said in one line, with its exit code; nothing was changed, no secret shown."""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.conftest import Cli, everything
from tests.command import Batchops
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

CANARY = "canary-5a1f"


class Wrong(NamedTuple):
    args: str
    """Words, parted by two spaces."""
    code: int
    says: str


RANDOM = {"postgresql": "random()", "mysql": "rand()", "sqlite": "random()"}
CASES = [
    Wrong("purge  evv  --where  kind = 1", 10, 'did you mean "ev"?'),
    Wrong("purge  ev  --where  kinds = 1", 2, 'no column "kinds"'),
    Wrong("purge  ev  --where  kinds = 1", 2, "did you mean"),
    Wrong("purge  ev  --where  ", 2, "empty"),
    Wrong("purge  ev  --where  kind =", 2, "--where"),
    Wrong("purge  ev  --where  kind = 1; DROP TABLE other", 2, "semicolon"),
    Wrong("purge  ev  --where  1=1) or (1=1", 2, "parentheses"),
    Wrong("purge  ev  --where  kind = 1 -- all of them", 2, "comment"),
    Wrong("purge  ev  --where  count(*) > 1", 2, "aggregate"),
    Wrong("purge  ev  --where  kind = ?", 2, "write the value itself"),
    Wrong("purge  ev  --where  kind = :kind", 2, "write the value itself"),
    Wrong("purge  ev  --where  RANDOM > 0", 2, "another value at each call"),
    Wrong("purge  ev  --where  nonsense(kind) = 1", 2, "nonsense"),
    Wrong("purge  ev", 2, "Which rows?"),
    Wrong("purge  ev  --all-rows  --where  kind = 1", 2, "--all-rows excludes"),
    Wrong("purge  ev  --older-than  90d", 2, "--by COLUMN"),
    Wrong("purge  ev  --by  made  --all-rows", 2, "--by needs"),
    Wrong("purge  ev  --older-than  90d  --by  mad", 2, 'no column "mad"'),
    Wrong("purge  ev  --older-than  90d  --before  2020-01-01  --by  made", 2, "exclude each other"),
    Wrong("purge  ev  --all-rows  --batch-size  0", 2, "at least 1"),
    Wrong("purge  ev  --all-rows  --batch-size  -5", 2, "at least 1"),
    Wrong("purge  ev  --all-rows  --batch-size  many", 2, "not a whole number"),
    Wrong("outbox  replay  ev  --to  -  --rate  many", 2, '--rate: "many" is not a number'),
    Wrong("purge  ev  --all-rows  --max-time  -1s", 2, "negative"),
    Wrong("purge  ev  --all-rows  --sleep  soon", 2, "not a duration"),
    Wrong("purge  ev  --all-rows  --throttle  lod=4", 2, 'did you mean "load"'),
    Wrong("purge  ev  --all-rows  --throttle  load=high", 2, "not a number"),
    Wrong("purge  ev  --all-rows  --throttle-timeout  5", 2, "no unit"),
    Wrong("purge  ev  --all-rows  --target-time  0s", 2, "more than"),
    Wrong("purge  ev  --all-rows  --window  22-25", 2, "22:00-06:00"),
    Wrong("purge  ev  --all-rows  --window  22:00-22:00", 2, "empty"),
    Wrong("purge  ev  --all-rows  --time-zone  Mars/Base", 2, "not a time zone"),
    Wrong("purge  ev  --all-rows  --progress-every  often", 2, "--progress-every"),
    Wrong("purge  ev  --all-rows  --key  idd", 2, 'did you mean "id"?'),
    Wrong("purge  ev  --all-rows  --key  kind", 12, "usable keys: id"),
    Wrong("purge  ev  --all-rows  --strategy  sideways", 2, "sideways"),
    Wrong("purge  ev  --all-rows  --allow  everything", 2, "everything"),
    Wrong("purge  ev  --all-rows  --events  /nowhere/at/all", 2, "/nowhere/at/all"),
    Wrong("purge  ev  --all-rows  --ledger  none  --bogus", 2, "--bogus"),
    Wrong("purge  --all-rows", 2, "TABLE"),
    Wrong("purge  seen  --where  kind = 1", 12, "view"),
    Wrong("purge  ev  --older-than  0d  --by  id", 2, "it must be more than 0 s"),
    Wrong("purge  ev  --older-than  P1Y  --by  id", 2, "mo (30 days) or y (365 days)"),
    Wrong("backfill  ev  --all-rows", 2, "--set is missing"),
    Wrong("backfill  ev  --all-rows  --set  kind", 2, "column = expression"),
    Wrong("backfill  ev  --all-rows  --set  kinds = 1", 2, "kinds"),
    Wrong("backfill  ev  --all-rows  --set  kind = 1, note = 2", 2, "--set"),
    Wrong("backfill  ev  --all-rows  --set  id = id + 1", 12, "key"),
    Wrong("prune", 2, 'There is no command "prune"'),
    Wrong("drian  ev", 2, 'did you mean "drain"?'),
    Wrong("restor  old", 2, "see `batchops --help`"),
    Wrong("archive  verfy  old", 2, 'did you mean "verify"?'),
    Wrong("archive  ev  old/", 2, "come list, prune, query, show, verify, or one table"),
    Wrong("delete  ev", 2, "purge deletes rows: batchops purge TABLE"),
    Wrong("retry", 2, "`batchops queue redrive`"),
    Wrong("queue  status  ev", 2, "`batchops queue show` does that"),
    Wrong("--verbose  purge  ev", 2, "options come after the command"),
    Wrong("purge  ev  --all-rows  --execute", 2, "unless --dry-run is given"),
    Wrong("purge  ev  --all-rows  --verbose", 2, "shown unless --quiet"),
    Wrong("purge  ev  --all-rows  --limit  5", 2, "--max-rows those of the whole run"),
    Wrong("purge  ev  --where-clause  kind = 1", 2, "--where selects the rows"),
    Wrong("purge  ev  --all-rows  --chunk_size  5", 2, "--batch-size fixes"),
    Wrong("purge  ev  --all-rows  --batchsise  5", 2, 'did you mean "--batch-size"?'),
]


def test_it_is_said_in_a_line_and_nothing_is_changed(ev: Database, cli: Cli) -> None:
    before, bad = everything(ev), []
    secret = ev.server.url.split("@")[0].rpartition(":")[2]
    for wrong in CASES:
        result = cli(*words(wrong, ev), env={"BATCHOPS_URL": ev.url})
        clear = clear_line(result.err, wrong.says) and (ev.backend == "sqlite" or secret not in result.err)
        if not clear or (result.code, result.out) != (wrong.code, ""):
            bad.append((wrong, result))
    assert bad == []
    assert everything(ev) == before


def test_the_document_says_it_too(lite: Database, cli: Cli) -> None:
    bad = []
    for wrong in CASES:
        result = cli(*words(wrong, lite), "--json", env={"BATCHOPS_URL": lite.url})
        document = result.json()
        error = document["error"] or {"code": "", "message": "", "hint": ""}
        said = wrong.says in f"{error['message']} {error['hint']}" and error["code"] == document["reason"]
        if not said or (result.code, document["exit"]) != (wrong.code, wrong.code):
            bad.append((wrong, document))
    assert bad == []


def words(wrong: Wrong, ev: Database) -> list[str]:
    said = wrong.args.replace("RANDOM", RANDOM[ev.backend]).split("  ")
    return [*said, "-y"] if said[0] in ("purge", "backfill") else said


def clear_line(err: str, says: str) -> bool:
    """A line, and maybe a hint; no traceback."""
    first, *more = err.splitlines() or [""]
    return first.startswith("error: ") and len(more) < 2 and all(m.startswith("hint: ") for m in more) and says in err


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_a_backfill_needs_a_key(cli: Cli, request: pytest.FixtureRequest, name: str) -> None:
    database: Database = request.getfixturevalue(name)
    database.execute("CREATE TABLE other (a int, b int)")
    result = cli("backfill", "other", "--all-rows", "--set", "b = 1", "-y", env={"BATCHOPS_URL": database.url})
    assert result.code == 12
    assert clear_line(result.err, "no primary key"), result


@pytest.mark.parametrize(
    ("url", "code", "says"),
    [
        ("postgresql://u:{}@127.0.0.1:1/d", 10, "Connection refused"),
        ("mysql://u:{}@127.0.0.1:1/d", 10, "Connection refused"),
        ("sqlite:////nowhere/at/all.db", 10, "/nowhere/at/all.db"),
        ("oracle://u:{}@h/d", 2, "Supported are"),
        ("postgresql//u:{}@h/d", 2, "URL"),
        ("", 2, "No database is named"),
        ("env:NOT_SET_ANYWHERE", 2, "NOT_SET_ANYWHERE"),
        ("file:/nowhere/at/all", 2, "/nowhere/at/all"),
        ("cmd:false", 2, "false"),
    ],
)
def test_a_wrong_url(cli: Cli, tmp_path: Path, url: str, code: int, says: str) -> None:
    events, address = tmp_path / "events", url.format(CANARY)
    args = ("purge", "ev", "--all-rows", "-y", "--retry-timeout", "0s", "--events", events)
    result = cli(*args, env={"BATCHOPS_URL": address} if address else {})
    assert (result.code, result.out) == (code, ""), result
    assert clear_line(result.err, says), result
    document = cli(*args, "--json", env={"BATCHOPS_URL": address} if address else {})
    given = cli(*args, "--url", address) if address else result
    assert document.json()["exit"] == given.code == code
    assert CANARY not in "".join([result.err, document.out, document.err, given.out, given.err])
    assert not events.exists() or CANARY not in events.read_text()


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_a_wrong_password_is_not_shown(cli: Cli, request: pytest.FixtureRequest, name: str) -> None:
    database: Database = request.getfixturevalue(name)
    wrong = database.url.replace(":tell-no-one@", f":{CANARY}@")
    if wrong == database.url:
        pytest.skip("the server was given by URL, with a password of its own")
    for how in ({"env": {"BATCHOPS_URL": wrong}}, {"env": {"V": wrong, "BATCHOPS_URL": "env:V"}}):
        result = cli("purge", "ev", "--all-rows", "-y", **how)
        assert (result.code, result.out) == (10, ""), result
        assert "password" in result.err or "denied" in result.err
        assert CANARY not in result.err
        assert "Traceback" not in result.err


def test_a_password_in_the_url_is_warned_of_once_and_kept_nowhere(
    postgresql: Database, cli: Cli, tmp_path: Path
) -> None:
    postgresql.execute("CREATE TABLE ev (id bigint PRIMARY KEY)")
    postgresql.execute("INSERT INTO ev SELECT generate_series(1, 10)")
    who = f"r_{postgresql.name}"
    postgresql.execute(f"CREATE ROLE {who} LOGIN SUPERUSER PASSWORD '{CANARY}'")
    try:
        url = f"postgresql://{who}:{CANARY}@" + postgresql.url.partition("@")[2]
        events = tmp_path / "events"
        result = cli("purge", "ev", "--all-rows", "-y", "--max-rows", 5, "--events", events, "--url", url)
        assert result.code == 0, result
        assert result.err.count("password on the command line") == 1
        document = cli("purge", "ev", "--all-rows", "-yq", "--max-rows", 1, "--json", "--url", url)
        assert document.err == ""
        assert document.json()["next"]
        kept = str(
            [postgresql.rows(f"SELECT * FROM {t}") for t in ("batchops_run", "batchops_worker", "batchops_lease")]
        )
        assert CANARY not in result.out + result.err + document.out + events.read_text() + kept
    finally:
        postgresql.execute(f"REASSIGN OWNED BY {who} TO postgres")
        postgresql.execute(f"DROP ROLE {who}")


@pytest.mark.parametrize(("module", "url"), [("psycopg", "postgresql://u@h/d"), ("pymysql", "mysql://u@h/d")])
def test_a_missing_driver_is_named(batchops: Batchops, tmp_path: Path, module: str, url: str) -> None:
    (tmp_path / f"{module}.py").write_text(f"raise ImportError('No module named {module}')\n")
    path = f"{tmp_path}:{batchops.environment()['PYTHONPATH']}"
    result = batchops.apart("purge", "ev", "--all-rows", "-y", "--url", url, env={"PYTHONPATH": path})
    assert (result.code, result.out) == (2, ""), result
    assert clear_line(result.err, "pip install"), result


@pytest.mark.parametrize("typed", ["purgee", "purg", "prge", "backfil", "back-fill", "prune", "archve"])
def test_no_verb_that_changes_rows_is_offered_for_a_typo(cli: Cli, tmp_path: Path, typed: str) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'[job.a]\nverb = "{typed}"\ntable = "ev"\nwhere = "1 = 1"\n')
    for result in (cli(typed, "ev"), cli("recipe", "check", recipe)):
        assert result.code == 2
        assert not any(f'did you mean "{verb}' in result.err for verb in ("purge", "backfill", "archive")), result
