"""What the README says of recipes, cron, systemd and CI is true: each command is run, in a folder with its files."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Cli
from tests.cli.conftest import cli as cli  # the fixture
from tests.cli.test_readme import RECIPES, blocks, sections
from tests.command import ROOT, Batchops
from tests.recipes.test_deploy import program as program  # the fixture
from tests.recipes.test_deploy import tried
from tests.services.database import Database

ALL, UNATTENDED = (sections()[name] for name in RECIPES)
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
def shop(sqlite: Database, batchops: Batchops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The tables, and a folder to work in with the README's recipe and the shipped ones."""
    for statement in SHOP.split(";\n")[:-1]:
        sqlite.execute(statement)
    monkeypatch.chdir(tmp_path)
    (recipe,) = blocks("toml", ALL)
    for folder in (tmp_path, batchops.home):  # for processes, and for commands in this one
        (folder / "nightly.toml").write_text(recipe)
        (folder / "recipes").symlink_to(ROOT / "recipes")
    return sqlite


def test_the_commands_about_recipes(shop: Database, cli: Cli) -> None:
    lines = [line for block in blocks("console", ALL) for line in block.splitlines()]
    assert len(lines) == 6
    for line in lines:
        words = shlex.split(line)[1:]
        asks = words[0] == "run" and not {"-y", "--dry-run"} & {*words}
        assert (cli(*words, *["-y"] * asks, env={"BATCHOPS_URL": shop.url}).code, line) == (0, line)
    assert shop.column("SELECT id FROM orders") == shop.column("SELECT id FROM order_items") == [2]
    assert shop.column("SELECT status FROM jobs") == ["pending"]
    assert cli("recipe", "check", "sessions.toml").out == "sessions.toml: 1 job, no mistakes\n"


def test_the_list_of_recipes_is_whole() -> None:
    linked = set(re.findall(r"\]\(recipes/([\w-]+)\.toml\)", ALL))
    assert linked == {path.stem for path in (ROOT / "recipes").glob("*.toml")}


def test_the_cron_lines(shop: Database, program: Path, tmp_path: Path) -> None:
    lines = re.findall(r"^[\d*/]+ [\d*]+ \* \* \* +(.*)$", UNATTENDED, re.M)
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
    (unit,) = blocks("ini", UNATTENDED)
    shipped = (ROOT / "recipes" / "deploy" / "batchops-nightly.service").read_text()
    assert set(unit.splitlines()) <= set(shipped.splitlines())


def test_the_ci_steps(shop: Database, program: Path, tmp_path: Path) -> None:
    (text,) = blocks("yaml", UNATTENDED)
    steps: list[dict[str, Any]] = yaml.safe_load(text)
    env = {"PATH": f"{program.parent}:/usr/bin:/bin", "BATCHOPS_URL": shop.url, "CI_DATABASE_URL": shop.url}
    for step in steps:
        done = subprocess.run(["bash", "-ec", step["run"]], capture_output=True, text=True, cwd=tmp_path, env=env)
        assert (done.returncode, step["run"], done.stderr) == (0, step["run"], "")
    assert [shop.scalar(f"SELECT count(*) FROM {table}") for table in ("fixtures", "orders", "order_items")] == [0] * 3
