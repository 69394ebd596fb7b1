"""README and help topics are true: every command in them is run, their grants suffice, their tables are complete."""

import re
from dataclasses import fields, replace
from typing import get_args

import pytest
from sqlalchemy import make_url

from batchops.bulk.plan.checks import CHECKS
from batchops.bulk.strategies import STRATEGIES
from batchops.errors import Exit
from batchops.events import Event, Finished
from batchops.finished_details import Archived, Cause, Drained, Listed, Relayed, ThrottledBy
from batchops.reporters.document import FIELDS, document
from batchops.throttles import THROTTLES
from tests.cli.conftest import Cli
from tests.cli.test_help import COMMANDS
from tests.command import Batchops
from tests.documents import DOCUMENTS, HELP, README, Reader, blocks, commands, linked
from tests.services.database import Database

ON_POSTGRESQL = ("README", "outbox", "restore", "strategies")
SHOP = """
CREATE TABLE sessions (id integer PRIMARY KEY, expires_at timestamp);
CREATE TABLE events (id integer PRIMARY KEY, created_at timestamp);
CREATE TABLE users (id integer PRIMARY KEY, email text, email_lower text);
CREATE TABLE orders (id integer PRIMARY KEY, created_at timestamp, price int, amount int, total int, paid boolean);
CREATE TABLE order_items (id integer PRIMARY KEY, order_id integer REFERENCES orders, created_at timestamp);
CREATE INDEX items_of_an_order ON order_items (order_id);
CREATE TABLE jobs (id integer PRIMARY KEY, status text, created_at timestamp, price int, amount int, total int);
CREATE TABLE event_publication (id text PRIMARY KEY, publication_date timestamp, completion_date timestamp);
INSERT INTO sessions VALUES (1, '2001-01-01 00:00:00'), (2, '2999-01-01 00:00:00');
INSERT INTO events VALUES (1, '2001-01-01 00:00:00'), (2, '2001-01-01 00:00:00');
INSERT INTO users VALUES (1, 'Ann@Example.org', NULL);
INSERT INTO orders VALUES (3, '2037-01-01 00:00:00', 3, 4, NULL, NULL), (7, '2037-01-01 00:00:00', 200, 1, 200, NULL);
INSERT INTO order_items VALUES (1, 7, '2037-01-01 00:00:00');
INSERT INTO jobs VALUES (1, 'pending', '2001-01-01 00:00:00', 5, 6, NULL);
INSERT INTO jobs VALUES (2, 'pending', '2001-01-01 00:00:00', 1, 2, NULL);
"""


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_commands(document: str, batchops: Batchops, request: pytest.FixtureRequest) -> None:
    database: Database = request.getfixturevalue("postgresql" if document in ON_POSTGRESQL else "sqlite")
    for statement in SHOP.split(";\n")[:-1]:
        database.execute(statement)
    (batchops.home / "cancelled.csv").write_text("customer,id\nAnn,3\n")
    Reader(batchops, database).read(DOCUMENTS[document].read_text())
    if document == "README":
        assert database.column("SELECT id FROM sessions") == [2]
        assert database.column("SELECT email_key FROM users") == ["ann@example.org"]
        assert database.column("SELECT DISTINCT status FROM jobs") == ["done"]


def test_every_topic_shows_a_command() -> None:
    assert [name for name, path in DOCUMENTS.items() if not blocks(path.read_text())] == []
    assert len([words for path in DOCUMENTS.values() for words in commands(path.read_text())]) > 60


def test_the_sample_output(cli: Cli) -> None:
    """The README shows the plan's lines as the demo prints them, and the topic plan explains them."""
    (sample,) = blocks(README.read_text(), "text")
    shown = cli("demo", "--rows", "1000")
    line = re.compile(r"^  (\w[\w -]{,9}) ", re.M)
    assert line.findall(sample.text) == line.findall(shown.err.partition("\n\n")[0])
    assert {name.strip() for name in line.findall(sample.text)} <= set(
        re.findall(r"`([\w -]+)`", " ".join(column("plan", "line")))
    )


def test_its_links_lead_somewhere() -> None:
    assert [target for path in DOCUMENTS.values() for target in linked(path) if not target.exists()] == []
    anchors = re.findall(r"]\(#([\w-]+)\)", README.read_text())
    assert anchors == [_anchor(title) for title in re.findall(r"^## (.+)$", README.read_text(), re.M)]


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def test_the_topics_that_are_named_exist() -> None:
    named = {
        topic for path in DOCUMENTS.values() for topic in re.findall(r"batchops\s+help\s+([a-z-]+)", path.read_text())
    }
    assert named <= DOCUMENTS.keys()
    assert len(README.read_text().splitlines()) <= 350


def test_the_options_that_are_named_exist(cli: Cli) -> None:
    known = {flag for command in COMMANDS for flag in re.findall(r"--[a-z-]+", cli(*command.split(), "--help").out)}
    text = "\n".join(path.read_text() for path in DOCUMENTS.values())
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))
    assert named - known == {"--password", "--full"}  # the one there is not, and pytest's


def test_the_tables_are_complete() -> None:
    assert {int(code) for code in column("exit-codes", "exit")} == {code.value for code in Exit}
    whole = Finished("", "", "", 0, "", done_at="now", listed=Listed(1, 1), rejected_causes=(Cause("", 1),))
    whole = replace(whole, throttled_by=(ThrottledBy("", 0.0, None, None),), maintained=("VACUUM",))
    assert words(column("output", "field")) == set(FIELDS)
    assert words(column("output", "more")) == document(whole).keys() - FIELDS
    assert words(column("output", "drain, relay")) == {
        field.name for kind in (Drained, Relayed) for field in fields(kind)
    }
    assert words(column("output", "archive")) == {field.name for field in fields(Archived)}
    assert words(column("throttling", "throttle")) == {kind.name for kind in THROTTLES}
    assert {kind.__name__.lower() for kind in get_args(Event)} <= words([(HELP / "output.md").read_text()])
    assert words(column("checks", "check")) == {check.name for check in CHECKS}
    assert words(column("strategies", "strategy")) == {kind.name for kind in STRATEGIES}


def column(topic: str, head: str) -> list[str]:
    """The first column of the table whose first heading is `head`."""
    lines = (HELP / f"{topic}.md").read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"| {head} |")) + 2
    end = next(n for n in range(start, len(lines)) if not lines[n].startswith("|"))
    return [line.split("|")[1] for line in lines[start:end]]


def words(cells: list[str]) -> set[str]:
    return set(re.findall(r"`([\w-]+)`", " ".join(cells)))


@pytest.mark.parametrize(("family", "place"), [("postgresql", 0), ("mariadb", 1)])
def test_the_grants(family: str, place: int, cli: Cli, request: pytest.FixtureRequest) -> None:
    """A role that has no more than they give can purge and backfill."""
    database: Database = request.getfixturevalue(family)
    role = f"c_{database.name}"[-32:]
    database.execute("CREATE TABLE sessions (id int PRIMARY KEY, expires_at timestamp NULL)")
    database.execute("INSERT INTO sessions VALUES (1, '2001-01-01 00:00:00'), (2, NULL)")
    texts = [block.text for block in blocks((HELP / "databases.md").read_text(), "sql")]
    text = texts[place] + "".join(texts[2:] if place == 1 else ())
    granted = text.replace("cleaner", role).replace("shop.", f"{database.name}.").replace("10.0.0.%", "%")
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
        assert (purge.code, purge.own_err, backfill.code, backfill.own_err) == (0, "", 0, "")
        assert database.rows("SELECT * FROM sessions") == [(1, None)]
    finally:
        if place == 0:
            database.execute(f"DROP OWNED BY {role} CASCADE")
        database.execute(f"DROP {'ROLE' if place == 0 else 'USER'} {role}")
