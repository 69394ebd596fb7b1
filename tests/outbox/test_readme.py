"""What the README says of the outbox is true: its code and its commands are run, one after the other."""

import shlex

import sqlalchemy as sa
from sqlalchemy import create_engine, text

from tests.cli.conftest import Cli
from tests.cli.conftest import cli as cli  # the fixture
from tests.cli.test_readme import OUTBOX, blocks, sections
from tests.outbox.boxes import delivered
from tests.services.database import Database

SECTION = sections()[OUTBOX]


def test_the_code_and_the_commands(sqlite: Database, cli: Cli) -> None:
    sqlite.execute("CREATE TABLE orders (id integer PRIMARY KEY, paid boolean)")
    sqlite.execute("INSERT INTO orders VALUES (7, false)")
    first, *commands = [shlex.split(line)[1:] for line in blocks("console", SECTION)[0].splitlines()]
    env = {"BATCHOPS_URL": sqlite.url}
    assert cli(*first, env=env).code == 0
    (code,) = blocks("python", SECTION)
    engine = create_engine(sa.make_url(sqlite.url))
    exec(code, {"engine": engine, "text": text})
    engine.dispose()
    for words in commands:
        assert (cli(*words, env=env).code, words) == (0, words)
    (one,) = delivered(cli.home / "events.jsonl")
    assert (one["topic"], one["key"], one["id"]) == ("shop.order", "7", "1")
    assert delivered(cli.home / "again.jsonl") == [one]
