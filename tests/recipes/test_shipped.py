"""The recipes that are shipped: explained, without mistakes, and run against every database that they name."""

import json
import re
import tomllib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from batchops.recipes.load import check
from batchops.recipes.schema import schema
from tests.cli.conftest import Cli
from tests.cli.conftest import cli as cli  # the fixture
from tests.command import ROOT
from tests.recipes.shop import CASES, statements
from tests.services.database import FAMILIES, Database

SCHEMA = jsonschema.Draft202012Validator(schema())
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))


def said(recipe: Path, name: str) -> str:
    """What the first comment says under a heading."""
    found = re.search(rf"^# {name}: +(.*)$", recipe.read_text(), re.M)
    assert found, f"{recipe.name} does not say its {name}"
    return found[1]


def databases(recipe: Path) -> list[str]:
    return said(recipe, "Databases").split(", ")


def runs() -> Iterator[Any]:
    """Every recipe on each of its databases; in the quick tier on one of them."""
    for recipe in RECIPES:
        named = databases(recipe)
        for number, name in enumerate(named):
            quick = number == zlib.crc32(recipe.stem.encode()) % len(named)
            yield pytest.param(recipe, name, id=f"{recipe.stem}-{name}", marks=() if quick else pytest.mark.full)


@pytest.mark.wide(2)
@pytest.mark.parametrize(("recipe", "name"), list(runs()))
def test_it_does_what_it_says(recipe: Path, name: str, new_database: Callable[..., Database], cli: Cli) -> None:
    case, database = CASES[recipe.stem], new_database(name)
    for statement in statements(case):
        database.execute(statement)
    given = [word for pair in case.params.items() for word in ("--param", "=".join(pair))]
    env = dict.fromkeys(("BATCHOPS_URL", "CI_DATABASE_URL"), database.url)
    planned = cli("run", recipe, "--dry-run", "--json", *given, env=env)
    assert planned.code == 0, planned.out
    told = cli("run", recipe, "-yq", *given, env=env)
    assert (told.code, told.out, told.err) == (0, "", "")
    assert sorted(database.rows(case.query)) == case.after
    again = cli("run", recipe, "-y", "--json", *given, env=env)
    assert (again.code, [job["rows"] for job in again.json()["jobs"] if job["rows"]]) == (0, [])


def test_there_is_a_case_for_each() -> None:
    assert {recipe.stem for recipe in RECIPES} == set(CASES)
    assert len(RECIPES) >= 10


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_it_is_explained_and_whole(recipe: Path) -> None:
    text = recipe.read_text()
    head = text.split("\n\n")[0].splitlines()
    assert all(line.startswith("#") for line in head)
    assert len(head) >= 7
    assert f"batchops run recipes/{recipe.name}" in said(recipe, "Run")
    assert set(databases(recipe)) <= set(FAMILIES)
    assert check(recipe)[1] == []
    assert list(SCHEMA.iter_errors(json.loads(json.dumps(tomllib.loads(text), default=str)))) == []


@pytest.mark.parametrize(
    "wrong", ["[job.a]\ntable = 't'\n", "[job.a]\nverb = 'purge'\ntable = 't'\nwher = 'x'\n", "[jobs.a]\n"]
)
def test_an_editor_marks_what_is_wrong(wrong: str) -> None:
    assert list(SCHEMA.iter_errors(tomllib.loads(wrong)))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA.schema)
