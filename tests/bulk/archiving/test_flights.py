"""Real input: the cancelled flights go to a folder or a bucket, DuckDB reads them there, and they come back."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import obstore
import pytest
from obstore.store import S3Store

import batchops as library
from batchops.archive.formats import format_of_name
from tests.bulk.archiving.bucket import Bucket
from tests.command import here
from tests.services.database import Database
from tests.services.http_proxy import HttpProxy
from tests.services.s3 import new_bucket
from tests.services.server import Server

WHERE = "dep_time IS NULL"
SUMS = "count(*), sum(id), sum(distance), min(carrier), max(tailnum), count(tailnum)"
FORMATS = ("parquet", "jsonl", "csv")
READ = {"parquet": "read_parquet(?)", "jsonl": "read_json(?)", "csv": "read_csv(?)"}


@pytest.fixture
def bucket(service: Callable[[str], Server]) -> Iterator[Bucket]:
    store = service("s3")
    with HttpProxy(store.url) as proxy:
        yield Bucket(new_bucket(store), proxy)


def sums(found: Any) -> list[str]:
    return [str(value) for value in found]


def there_and_back(database: Database, to: str, format: str, files: Callable[[], list[Path]]) -> int:
    """Archive, read by DuckDB, verify and restore; how many flights that were."""
    rows = database.rows(f"SELECT * FROM flights WHERE {WHERE} ORDER BY id")
    expected = sums(database.rows(f"SELECT {SUMS} FROM flights WHERE {WHERE}")[0])
    words = ("--where", WHERE, "--to", to, "--format", format, "--segment-size", "256KiB", "-y", "--json")
    done = here("archive", "flights", "--url", database.url, *words)
    assert (done.code, done.json()["rows"], done.json()["unsealed"]) == (0, len(rows), 0), done
    assert database.scalar(f"SELECT count(*) FROM flights WHERE {WHERE}") == 0
    found = duckdb.sql(f"SELECT {SUMS} FROM {READ[format]}", params=[[str(path) for path in files()]]).fetchall()
    assert sums(found[0]) == expected
    with library.archive_query(to, f"SELECT {SUMS} FROM flights") as result:
        assert sums(next(result.rows)) == expected
    proven = here("archive", "verify", to, "--against", database.url)
    assert (proven.code, f"none of {len(rows):,} rows is in the table" in proven.out) == (0, True), proven
    restored = library.restore(destination=to, url=database.url, into="again")
    assert restored.reason == "done"
    assert database.rows("SELECT * FROM again ORDER BY id") == rows
    return len(rows)


def in_folder(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if format_of_name(path.name)]


def fetched(bucket: Bucket, folder: Path) -> list[Path]:
    """The segments, as any client of the store gets them; DuckDB's own is no part of its package."""
    env = bucket.env
    store = S3Store(
        bucket.name, prefix=bucket.url.partition(bucket.name)[2].strip("/"), endpoint=env["AWS_ENDPOINT_URL"],
        access_key_id=env["AWS_ACCESS_KEY_ID"], secret_access_key=env["AWS_SECRET_ACCESS_KEY"], region="us-east-1",
        client_options={"allow_http": True},
    )  # fmt: skip
    paths = []
    for name in filter(format_of_name, bucket.names()):
        paths.append(folder / name.replace("/", "_"))
        paths[-1].write_bytes(obstore.get(store, name).bytes())
    return paths


@pytest.mark.in_turn
@pytest.mark.wide(3)
@pytest.mark.parametrize("format", FORMATS)
def test_january_to_a_bucket(january: Database, bucket: Bucket, tmp_path: Path, format: str) -> None:
    with bucket.reached():
        assert there_and_back(january, bucket.url, format, lambda: fetched(bucket, tmp_path)) == 521


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("format", FORMATS)
def test_the_year_to_a_bucket(flights: Database, bucket: Bucket, tmp_path: Path, format: str) -> None:
    with bucket.reached():
        assert there_and_back(flights, bucket.url, format, lambda: fetched(bucket, tmp_path)) == 8_255


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("format", FORMATS)
def test_the_year_to_a_folder(flights: Database, tmp_path: Path, format: str) -> None:
    assert there_and_back(flights, f"{tmp_path}/", format, lambda: in_folder(tmp_path)) == 8_255
