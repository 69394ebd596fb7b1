"""Keys of several columns, and keys that are not the primary one."""

from tests.databases.shapes.literals import PAIRS, TRIPLES
from tests.databases.shapes.shape import LITE, MARIA, PG, ROWS, Shape

COMPOSITE = (
    Shape("two columns", {"a": "integer NOT NULL", "b": "varchar(9) NOT NULL"}, ("a", "b"), PAIRS),
    Shape("the other order", {"a": "integer NOT NULL", "b": "varchar(9) NOT NULL"}, ("b", "a"), PAIRS),
    Shape(
        "three columns",
        {"a": "bigint NOT NULL", "b": "varchar(9) NOT NULL", "c": {PG: "date", MARIA: "date", LITE: "text NOT NULL"}},
        ("a", "b", "c"),
        TRIPLES,
    ),
    Shape(
        "with a list of arrays",
        {"a": "integer", "b": "text[]"},
        ("a", "b"),
        [(str(i // 5), f"'{{x,{i}}}'") for i in range(ROWS)],
        (PG,),
    ),
    Shape(
        "times and spans",
        {"a": "time", "b": "integer"},
        ("a", "b"),
        [(f"'-00:{i:02}:00'", str(i)) for i in range(60)],
        (MARIA,),
    ),
    Shape(
        "unique index, no primary key",
        {"a": "integer NOT NULL", "b": "integer"},
        ("a",),
        [(str(i * 3), "NULL") for i in range(ROWS)],
        constraint="UNIQUE",
    ),
    Shape(
        "another key asked for",
        {"id": "integer PRIMARY KEY", "other": "varchar(20) NOT NULL"},
        ("other",),
        [(str(i), f"'o{i * 37 % 61}'") for i in range(ROWS)],
        constraint="UNIQUE",
        asked_key=("other",),
    ),
)
