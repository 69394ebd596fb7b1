"""Predicates and values whose text a driver could misread."""

from tests.databases.shapes.literals import IDS, JSON_OLD, OBJECTS
from tests.databases.shapes.shape import LITE, MARIA, PG, ROWS, Shape

PREDICATES = (
    Shape(
        "a colon",
        {"id": "integer", "at": "varchar(20)"},
        ("id",),
        [(str(i), f"'{11 + i % 3}:30'") for i in range(ROWS)],
        where="at = '12:30' OR at LIKE '%3:30'",
        assignments=("at = '07:45:00'",),
    ),
    Shape(
        "LIKE with an escaped percent",
        {"id": "integer", "off": "varchar(20)"},
        ("id",),
        [(str(i), f"'10{('%', 'x', '%%')[i % 3]}{i}'") for i in range(ROWS)],
        where={PG: r"off LIKE '10\%%'", MARIA: r"off LIKE '10\%%'", LITE: r"off LIKE '10\%%' ESCAPE '\'"},
    ),
    Shape(
        "quotes in a value",
        {"id": "integer", "who": "varchar(20)"},
        ("id",),
        [(str(i), ("'O''Brien'", "'x:y'")[i % 2]) for i in range(ROWS)],
        where="who = 'O''Brien'",
        assignments=("who = 'it''s: 100%'",),
    ),
    Shape(
        "JSON",
        {"id": "integer", "doc": {PG: "jsonb", MARIA: "json", LITE: "text"}},
        ("id",),
        [(str(i), OBJECTS[i]) for i in range(ROWS)],
        where=JSON_OLD,
    ),
    Shape(
        "JSON's question mark",
        {"id": "integer", "doc": "jsonb"},
        ("id",),
        [(str(i), OBJECTS[i]) for i in range(ROWS)],
        (PG,),
        where="doc->'tags' ? 't1' AND doc @> '{\"deep\": {}}'",
    ),
    Shape("an OR at the top", {"id": "integer"}, ("id",), IDS, where="n = 3 OR n > 50"),
    Shape(
        "nothing but NULL",
        {"id": "integer", "x": "integer"},
        ("id",),
        [(str(i), "NULL" if i % 2 else "1") for i in range(ROWS)],
        where="x IS NULL",
        assignments=("x = coalesce(x, 0) - 1", "times = times + 1"),
    ),
    Shape(
        "a sub-select of another table",
        {"id": "integer"},
        ("id",),
        IDS,
        where="id IN (SELECT x FROM gone)",
        before="CREATE TABLE gone (x integer); INSERT INTO gone VALUES (3), (4), (60), (NULL)",
    ),
    Shape(
        "a cast",
        {"id": "integer", "v": "text"},
        ("id",),
        [(str(i), f"'{i}'") for i in range(ROWS)],
        (PG,),
        where="v::int8 % 2 = 0",
        assignments=("v = (v::int + 1)::text",),
    ),
    Shape("matches nothing", {"id": "integer"}, ("id",), IDS, where="n < 0"),
    Shape("matches everything", {"id": "integer"}, ("id",), IDS, where="n >= 0"),
    Shape("only the last row", {"id": "integer"}, ("id",), IDS, where="n = 60"),
    Shape(
        "generated column",
        {
            "id": "integer",
            "twice": {
                PG: "integer GENERATED ALWAYS AS (times * 2 + n) STORED",
                MARIA: "integer GENERATED ALWAYS AS (times * 2 + n) VIRTUAL",
                LITE: "integer GENERATED ALWAYS AS (times * 2 + n) VIRTUAL",
            },
        },
        ("id",),
        IDS,
        where="twice < 40",
    ),
)
