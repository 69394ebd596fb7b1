"""What the README says of cron, systemd and CI is true, and the list of recipes is complete."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.command import ROOT
from tests.documents import DOCUMENTS, blocks, linked
from tests.recipes.test_deploy import program as program  # the fixture
from tests.recipes.test_deploy import tried
from tests.services.database import Database

README, RECIPES = (DOCUMENTS[name].read_text() for name in ("README", "recipes"))
SHOP = """
CREATE TABLE orders (id integer PRIMARY KEY, created_at timestamp);
CREATE TABLE order_items (id integer PRIMARY KEY, order_id integer REFERENCES orders, created_at timestamp);
CREATE INDEX items_of_an_order ON order_items (order_id);
CREATE TABLE jobs (id integer PRIMARY KEY, status text);
CREATE TABLE sessions (id integer PRIMARY KEY, expires_at timestamp);
CREATE TABLE fixtures (id integer PRIMARY KEY);
CREATE TABLE users (id integer PRIMARY KEY);
INSERT INTO orders VALUES (1, '2001-01-01 00:00:00'), (2, '2037-01-01 00:00:00');
INSERT INTO order_items VALUES (1, 1, '2001-01-01 00:00:00'), (2, 2, '2037-01-01 00:00:00');
INSERT INTO jobs VALUES (1, 'done'), (2, 'failed'), (3, 'pending');
INSERT INTO sessions VALUES (1, '2001-01-01 00:00:00'), (2, '2037-01-01 00:00:00');
INSERT INTO fixtures VALUES (1), (2);
"""


@pytest.fixture
def shop(sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The tables, and a folder to work in with the recipe of the help and the shipped ones."""
    for statement in SHOP.split(";\n")[:-1]:
        sqlite.execute(statement)
    monkeypatch.chdir(tmp_path)
    (recipe,) = blocks(RECIPES, "toml")
    (tmp_path / "nightly.toml").write_text(recipe.text)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    return sqlite


def test_the_list_of_recipes_is_whole() -> None:
    recipes = {path for path in linked(DOCUMENTS["recipes"]) if path.suffix == ".toml"}
    assert recipes == {*(ROOT / "recipes").glob("*.toml")}


@pytest.mark.full
def test_the_cron_lines(shop: Database, program: Path, tmp_path: Path) -> None:
    lines = re.findall(r"^[\d*/]+ [\d*]+ \* \* \* +(.*)$", README, re.M)
    assert len(lines) == 2
    url = tmp_path / "url"
    url.write_text(shop.url)
    for line in lines:
        command = (
            line.replace("/etc/batchops/url", str(url))
            .replace("/etc/batchops/", "")
            .replace(" batchops ", f" {program} ")
        )
        assert tried(command, {}, tmp_path) == (0, "")
    assert shop.column("SELECT id FROM sessions") == [2]


def test_the_unit_is_the_shipped_one() -> None:
    (unit,) = blocks(README, "ini")
    shipped = (ROOT / "recipes" / "deploy" / "batchops-nightly.service").read_text()
    assert set(unit.text.splitlines()) <= set(shipped.splitlines())


@pytest.mark.full
def test_the_ci_steps(shop: Database, program: Path, tmp_path: Path) -> None:
    (steps_of_a_job,) = blocks(README, "yaml")
    steps: list[dict[str, Any]] = yaml.safe_load(steps_of_a_job.text)
    env = {"PATH": f"{program.parent}:/usr/bin:/bin", "BATCHOPS_URL": shop.url, "CI_DATABASE_URL": shop.url}
    for step in steps:
        done = subprocess.run(["bash", "-ec", step["run"]], capture_output=True, text=True, cwd=tmp_path, env=env)
        assert (done.returncode, step["run"], done.stderr) == (0, step["run"], "")
    assert [shop.scalar(f"SELECT count(*) FROM {table}") for table in ("fixtures", "orders", "order_items")] == [0] * 3
