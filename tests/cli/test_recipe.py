"""`batchops recipe`: every mistake, the schema, a recipe from a command line."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, everything
from tests.services.database import Database

GOOD = """
[params]
n = { type = "integer" }
[job.a]
verb = "purge"
table = "ev"
where = "kind = :n"
[job.b]
verb = "drain"
table = "jobs"
where = "1 = 1"
delete = true
exec = "true"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "r.toml"
    path.write_text(GOOD)
    return path


def test_a_good_one_needs_no_database(cli: Cli, recipe: Path) -> None:
    told = cli("recipe", "check", recipe)
    assert (told.code, told.out, told.err) == (0, f"{recipe}: 2 jobs, no mistakes\n", "")


def test_mistakes_stand_with_file_and_line(cli: Cli, recipe: Path) -> None:
    recipe.write_text(GOOD.replace("delete", "delte").replace('"integer"', '"int"'))
    told = cli("recipe", "check", recipe)
    assert (told.code, told.err) == (2, "")
    assert told.out.splitlines() == [
        f'{recipe}:3: Parameter "n" has the type "int", which there is not. Hint: did you mean "integer"?',
        f"{recipe}:8: what becomes of a row that is done? Give done or delete, one of the two.".replace(" w", " W"),
        f'{recipe}:12: drain has no key "delte". Hint: did you mean "delete"?',
        f"{recipe}: 3 mistakes",
    ]
    document = cli("recipe", "check", recipe, "--json").json()
    assert (document["exit"], [each["line"] for each in document["mistakes"]]) == (2, [3, 8, 12])


def test_connect_plans_each_job(cli: Cli, recipe: Path, lite: Database) -> None:
    before = everything(lite)
    told = cli("recipe", "check", recipe, "--connect", "--param", "n=1", env={"BATCHOPS_URL": lite.url})
    assert (told.code, everything(lite)) == (10, before)
    assert told.out.splitlines() == [f'{recipe}:8: b: There is no table "jobs".', f"{recipe}: 1 mistake"]
    missing = cli("recipe", "check", recipe, "--connect", env={"BATCHOPS_URL": lite.url})
    assert (missing.code, missing.out) == (2, "")
    assert 'Parameter "n" has no value' in missing.err


def test_what_is_written_from_a_command_line_runs(cli: Cli, lite: Database, tmp_path: Path) -> None:
    where = "kind = 3 AND coalesce(note, '') <> 'it''s \\ \"so\"'"
    words = (
        "purge",
        "ev",
        "--url",
        lite.url,
        "--where",
        where,
        "--batch-size",
        "10",
        "--allow",
        "scan",
        "--allow",
        "rls",
    )
    told = cli("recipe", "new", "--name", "threes", "--", *words, "-y")
    assert (told.code, told.err) == (0, "")
    assert cli("recipe", "new", "--name", "threes", *words, "-y").out == told.out  # who forgets the two dashes
    table = tomllib.loads(told.out)["job"]["threes"]
    assert table == {
        "verb": "purge", "table": "ev", "url": lite.url, "where": where, "batch-size": 10, "allow": ["scan", "rls"],
    }  # fmt: skip
    file = tmp_path / "threes.toml"
    file.write_text(told.out)
    assert cli("recipe", "check", file).code == 0
    assert cli("run", file, "-yq").code == 0
    assert lite.rows("SELECT count(*) FROM ev") == [(900,)]


def test_a_password_is_not_written(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    words = ("batchops", "backfill", "t", "--url", "mysql://u:geheim@h/d", "--all-rows", "--set", "a = 1")
    assert cli("recipe", "new", "-o", file, "--", *words).code == 0
    assert "geheim" not in file.read_text()
    assert tomllib.loads(file.read_text())["job"]["backfill-t"]["url"] == "env:BATCHOPS_URL"
    again = cli("recipe", "new", "-o", file, "--", *words)
    assert (again.code, again.err) == (2, f'error: "{file}" cannot be written: File exists.\n')


@pytest.mark.parametrize("words", [("prune", "t"), ("purge", "t"), ("purge", "t", "--wher", "x")])
def test_a_command_line_that_does_not_work_gives_none(cli: Cli, words: tuple[str, ...]) -> None:
    told = cli("recipe", "new", "--", *words)
    assert (told.code, told.out) == (2, "")


def test_the_schema_knows_every_key(cli: Cli) -> None:
    told = cli("recipe", "schema")
    schema = json.loads(told.out)
    jobs = {
        job["properties"]["verb"]["const"]: job for job in schema["properties"]["job"]["additionalProperties"]["oneOf"]
    }
    assert set(jobs) >= {"purge", "backfill", "drain"}
    assert {"older-than", "older_than", "cron", "needs"} <= set(jobs["purge"]["properties"])
    assert "params" not in jobs["purge"]["properties"]
    assert schema["properties"]["defaults"]["properties"]["max-time"]["anyOf"][0]["pattern"]
