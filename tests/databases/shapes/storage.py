"""Ways to store a table."""

from tests.databases.shapes.literals import IDS, PAIRS, one, text
from tests.databases.shapes.shape import LITE, MARIA, PG, ROWS, Shape

STORAGE = (
    Shape(
        "WITHOUT ROWID",
        {"a": "integer NOT NULL", "b": "text NOT NULL"},
        ("b", "a"),
        PAIRS,
        (LITE,),
        options="WITHOUT ROWID",
    ),
    Shape("rowid only", {"x": "integer"}, (), IDS, (LITE,)),
    Shape("rowid under another name", {"rowid": "text"}, (), text(["same"] * ROWS), (LITE,)),
    Shape(
        "a primary key that may hold NULL",
        {"id": "text"},
        ("id",),
        one(["NULL"] * 9 + [f"'{i}'" for i in range(40)]),
        (LITE,),
    ),
    Shape(
        "STRICT",
        {"id": "integer", "x": "any"},
        ("id",),
        [(str(i), ("1", "'1'", "x'01'")[i % 3]) for i in range(ROWS)],
        (LITE,),
        where="typeof(x) = 'text'",
        options="STRICT",
    ),
    Shape(
        "descending key",
        {"id": "integer NOT NULL", "x": "text NOT NULL"},
        ("x", "id"),
        [(str(i), f"'{i % 5}'") for i in range(ROWS)],
        (LITE,),
    ),
    Shape("unlogged", {"id": "integer"}, ("id",), IDS, (PG,), options="WITH (fillfactor = 50)"),
    Shape("system-versioned", {"id": "integer"}, ("id",), IDS, (MARIA,), options="WITH SYSTEM VERSIONING"),
    Shape(  # counting up is refused: it does not support transactions
        "Aria", {"id": "integer"}, ("id",), IDS, (MARIA,), options="ENGINE=Aria", assignments=("times = n + 1",)
    ),
    Shape("partitioned", {"id": "integer"}, ("id",), IDS, (MARIA,), options="PARTITION BY HASH (id) PARTITIONS 4"),
    Shape("compressed rows", {"id": "integer"}, ("id",), IDS, (MARIA,), options="ROW_FORMAT=COMPRESSED"),
)
