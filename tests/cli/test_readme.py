"""The README is true: its commands run against a SQLite file, its grants suffice, its tables are complete."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from batchops.bulk.plan.checks import CHECKS
from batchops.errors import EXIT_MEANINGS
from batchops.reporters.document import FIELDS
from tests.cli.conftest import Cli
from tests.command import ROOT, Batchops
from tests.services.database import Database
from tests.waiting import ended, until

README = (ROOT / "README.md").read_text()
ELSEWHERE = ("pip install", "export BATCHOPS_URL=")
"""Lines that no SQLite file is needed for: installing, testing, naming a server."""
SHOP = """
CREATE TABLE sessions (id integer PRIMARY KEY, expires_at timestamp);
CREATE TABLE events (id integer PRIMARY KEY, created_at timestamp);
CREATE TABLE users (id integer PRIMARY KEY, email text, email_lower text);
CREATE TABLE orders (id integer PRIMARY KEY, price int, amount int, total int);
CREATE TABLE jobs (id integer PRIMARY KEY, status text, created_at timestamp, price int, amount int, total int);
INSERT INTO sessions VALUES (1, '2001-01-01 00:00:00'), (2, '2999-01-01 00:00:00');
INSERT INTO events VALUES (1, '2001-01-01 00:00:00');
INSERT INTO users VALUES (1, 'Ann@Example.org', NULL);
INSERT INTO orders VALUES (1, 3, 4, NULL), (2, 3, 4, 11);
INSERT INTO jobs VALUES (1, 'pending', '2001-01-01 00:00:00', 5, 6, NULL);
"""
LEFT = {
    "sessions": [(2, "2999-01-01 00:00:00")],
    "users": [(1, "Ann@Example.org", "ann@example.org")],
    "orders": [(1, 3, 4, 12), (2, 3, 4, 11)],
}


RECIPES = ("Recipes", "In cron, systemd and CI")
SCHEDULE, OUTBOX = "At their times", "Outbox"
"""The sections whose commands need files; tests/recipes, tests/scheduler and tests/outbox try them."""


def sections() -> dict[str, str]:
    """The README's sections by their headings."""
    head, *others = re.split(r"^## (.*)$", README, flags=re.M)
    return {"": head, **dict(zip(others[::2], others[1::2], strict=True))}


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def commands() -> list[str]:
    texts = [text for name, text in sections().items() if name not in (*RECIPES, SCHEDULE, OUTBOX)]
    lines = [line for text in texts for block in blocks("console", text) for line in block.splitlines()]
    return [line for line in lines if not line.startswith(ELSEWHERE)]


@pytest.fixture
def shop(sqlite: Database) -> Database:
    for statement in SHOP.split(";\n")[:-1]:
        sqlite.execute(statement)
    return sqlite


def test_the_commands(shop: Database, cli: Cli, batchops: Batchops) -> None:
    """Each as it stands there, `-y` for the yes of a person; a drain that stays up is ended once it has worked."""
    (batchops.home / "shop").mkdir()
    (batchops.home / "shop" / "mail.py").write_text("def send(rows):\n    print(len(rows))\n")
    (batchops.home / "cancelled.csv").write_text("customer,id\nAnn,3\n")
    env = {"BATCHOPS_URL": shop.url}
    assert len(commands()) > 12
    for line in commands():
        words = shlex.split(line)[1:]
        if "--poll" in words:
            code = stays_up(batchops, words, env, shop)
        else:
            asks = words[0] in ("purge", "backfill") and not {"-y", "--dry-run"} & {*words}
            code = cli(*words, *["-y"] * asks, env=env).code
        assert (code, line) == (0, line)
    assert {table: shop.rows(f"SELECT * FROM {table} ORDER BY id") for table in LEFT} == LEFT
    assert shop.rows("SELECT status FROM jobs") == [("done",)]


def stays_up(batchops: Batchops, words: list[str], env: dict[str, str], shop: Database) -> int:
    process = batchops.start(*words, env={**env, "PYTHONPATH": f"{ROOT}:{batchops.home}"})
    until(lambda: not shop.rows("SELECT 1 FROM jobs WHERE status = 'pending'"), process)
    process.terminate()
    return ended(process).code


def test_the_library(shop: Database, tmp_path: Path, batchops: Batchops) -> None:
    (program,) = blocks("python", sections()["From Python"])
    program = program.replace("sqlite:///shop.db", shop.url)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env=batchops.environment()
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done 1\n", "")


@pytest.mark.parametrize(("family", "place"), [("postgresql", 0), ("mariadb", 1)])
def test_the_grants(family: str, place: int, cli: Cli, request: pytest.FixtureRequest) -> None:
    """A role that has no more than they give can purge and backfill."""
    database: Database = request.getfixturevalue(family)
    role = f"c_{database.name}"[-32:]
    database.execute("CREATE TABLE sessions (id int PRIMARY KEY, expires_at timestamp NULL)")
    database.execute("INSERT INTO sessions VALUES (1, '2001-01-01 00:00:00'), (2, NULL)")
    granted = blocks("sql")[place].replace("cleaner", role).replace("shop.", f"{database.name}.")
    try:
        for statement in granted.split(";\n")[:-1]:
            database.execute(statement.replace("LOGIN", "LOGIN PASSWORD 'x'") if place == 0 else statement)
        if place == 1:
            database.execute(f"ALTER USER {role} IDENTIFIED BY 'x'")
        url = make_url(database.url).set(username=role, password="x").render_as_string(hide_password=False)
        more = ("--ledger-schema", role, "-yq") if place == 0 else ("-yq",)
        purge = cli("purge", "sessions", "--where", "id = 2", *more, env={"BATCHOPS_URL": url})
        backfill = cli(
            "backfill", "sessions", "--where", "id = 1", "--set", "expires_at = NULL", *more, env={"BATCHOPS_URL": url}
        )
        assert (purge.code, purge.err, backfill.code, backfill.err) == (0, "", 0, "")
        assert database.rows("SELECT * FROM sessions") == [(1, None)]
    finally:
        if place == 0:
            database.execute(f"DROP OWNED BY {role} CASCADE")
        database.execute(f"DROP {'ROLE' if place == 0 else 'USER'} {role}")


def test_the_tables_are_complete() -> None:
    exits = section("| exit | meaning |")
    assert {int(n) for n in re.findall(r"\d+", "".join(first(exits)))} == {code.value for code in EXIT_MEANINGS}
    assert set(re.findall(r"`(\w+)`", "".join(first(section("| field | |"))))) == {*FIELDS, "causes"}
    assert set(re.findall(r"`([a-z-]+)`", "".join(first(section("| check | refuses |"))))) == {c.name for c in CHECKS}


def test_its_options_exist(cli: Cli) -> None:
    known = set()
    for command in (
        "purge",
        "backfill",
        "drain",
        "queue init",
        "queue show",
        "queue redrive",
        "ledger prune",
        "run",
        "schedule",
        "relay",
        "outbox init",
        "outbox redrive",
        "outbox replay",
        "recipe check",
    ):
        known |= set(re.findall(r"--[a-z-]+", cli(*command.split(), "--help").out))
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", README))
    assert named - known == {"--password", "--full"}  # the one there is not, and pytest's


def section(head: str) -> list[str]:
    """The rows of the table that begins with that line."""
    lines = README.splitlines()
    start = lines.index(head) + 2
    return lines[start : next(n for n in range(start, len(lines) + 1) if not lines[n].startswith("|"))]


def first(rows: list[str]) -> list[str]:
    return [row.split("|")[1] for row in rows]
