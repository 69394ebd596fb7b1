"""Real input: what batchops makes of the flights is what one plain statement makes of a copy."""

from typing import Any

import pytest

from tests.command import Batchops
from tests.figures import Figures
from tests.services.database import Database


def contents(database: Database, table: str) -> list[tuple[Any, ...]]:
    return database.rows(f"SELECT * FROM {table} ORDER BY id")


def copy(database: Database) -> None:
    database.script("CREATE TABLE plain AS SELECT * FROM flights")


def run(batchops: Batchops, database: Database, *arguments: str) -> Any:
    done = batchops(*arguments, "--url", database.url, "-y", "--json")
    assert done.code == 0, done
    return done.json()


def three_jobs(batchops: Batchops, database: Database, before: str) -> dict[str, Any]:
    """Purge the cancelled, backfill the gain, purge by time; each compared with one statement on a copy."""
    database.script("ALTER TABLE flights ADD COLUMN gain integer")
    copy(database)
    documents = {}
    documents["cancelled"] = run(batchops, database, "purge", "flights", "--where", "dep_time IS NULL")
    assert documents["cancelled"]["rows"] == database.execute("DELETE FROM plain WHERE dep_time IS NULL")
    assert contents(database, "flights") == contents(database, "plain")

    documents["gain"] = run(
        batchops, database, "backfill", "flights", "--all-rows", "--set", "gain = dep_delay - arr_delay"
    )
    assert documents["gain"]["rows"] == database.execute("UPDATE plain SET gain = dep_delay - arr_delay")
    assert contents(database, "flights") == contents(database, "plain")

    documents["by time"] = run(batchops, database, "purge", "flights", "--before", before, "--by", "time_hour")
    assert documents["by time"]["rows"] == database.execute(f"DELETE FROM plain WHERE time_hour < '{before}'")
    assert contents(database, "flights") == contents(database, "plain")
    assert before in documents["by time"]["cutoff"]
    return documents


@pytest.mark.in_turn
def test_january(batchops: Batchops, january: Database) -> None:
    documents = three_jobs(batchops, january, "2013-01-15")
    assert all(document["rows"] > 500 for document in documents.values())


@pytest.mark.full
def test_the_whole_year(batchops: Batchops, flights: Database, figures: Figures) -> None:
    documents = three_jobs(batchops, flights, "2013-07-01")
    assert documents["cancelled"]["rows"] == 8_255
    for name, document in documents.items():
        figures(**{name: f"{document['rows']:,} rows by {document['strategy']} in {document['seconds']} s"})


@pytest.mark.in_turn
def test_a_composite_key(batchops: Batchops, january: Database) -> None:
    """The weather's key is (origin, time_hour)."""
    january.script("CREATE TABLE plain AS SELECT * FROM weather")
    document = run(
        batchops, january, "purge", "weather", "--where", "temp < 35", "--key", "origin,time_hour",
        "--strategy", "key", "--batch-size", "50",
    )  # fmt: skip
    assert document["rows"] == january.execute("DELETE FROM plain WHERE temp < 35") > 100
    order = "ORDER BY origin, time_hour"
    assert january.rows(f"SELECT * FROM weather {order}") == january.rows(f"SELECT * FROM plain {order}")
