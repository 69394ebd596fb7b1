"""Keys of one column."""

from tests.databases.shapes.literals import (
    BINARY,
    BLANKS,
    BLOBS,
    CLOCKS,
    DAYS,
    EXTREMES,
    HEX,
    IDS,
    STAMPS,
    UUIDS,
    WORDS,
    one,
    text,
)
from tests.databases.shapes.shape import EVERYWHERE, LITE, MARIA, PG, ROWS, SERVERS, Shape

KEYS = (
    Shape("integer", {"id": "integer"}, ("id",), IDS),
    Shape("negative and zero", {"id": "integer"}, ("id",), one([str(i - 30) for i in range(ROWS)])),
    Shape("bigint extremes", {"id": "bigint"}, ("id",), one([str(i) for i in EXTREMES])),
    Shape("sparse", {"id": "bigint"}, ("id",), one([str(i**9) for i in range(ROWS)])),
    Shape(
        "unsigned above 2^63",
        {"id": "bigint unsigned"},
        ("id",),
        one([str(2**64 - 1 - i * 2**58) for i in range(ROWS)]),
        (MARIA,),
    ),
    Shape("numeric", {"id": "numeric(30,10)"}, ("id",), one([f"{i - 30}.0000000001" for i in range(ROWS)]), SERVERS),
    Shape(
        "numeric with NaN and infinity",
        {"id": "numeric"},
        ("id",),
        [("'NaN'",), ("1e-300",), *one([f"{i}.{'0' * i}1" for i in range(50)])],
        (PG,),
    ),
    Shape(
        "double",
        {"id": {PG: "double precision", MARIA: "double", LITE: "real"}},
        ("id",),
        one([repr((i - 30) / 7) for i in range(ROWS)]),
    ),
    Shape("real", {"id": "real"}, ("id",), one([repr((i - 30) / 7) for i in range(ROWS)]), (PG,)),
    Shape(
        "float with NaN",
        {"id": "double precision"},
        ("id",),
        text(["NaN", "-Infinity", "Infinity", *map(str, range(20))]),
        (PG,),
    ),
    Shape(
        "text, not ASCII",
        {"id": {PG: "text", MARIA: "varchar(40) COLLATE utf8mb4_bin", LITE: "text NOT NULL"}},
        ("id",),
        text(WORDS),
    ),
    Shape(
        "trailing blanks",
        {"id": {PG: "text", MARIA: "varchar(40) COLLATE utf8mb4_nopad_bin", LITE: "text NOT NULL"}},
        ("id",),
        text(BLANKS),
    ),
    Shape("padded", {"id": "char(6)"}, ("id",), text([f"x{i} y" for i in range(ROWS)]), SERVERS),
    Shape(
        "blind to case",
        {"id": {MARIA: "varchar(40) COLLATE utf8mb4_general_ci", LITE: "text COLLATE NOCASE NOT NULL"}},
        ("id",),
        text([f"{'aB'[i % 2]}{i}X" for i in range(ROWS)]),
        (MARIA, LITE),
    ),
    Shape(
        "latin1", {"id": "varchar(20) CHARACTER SET latin1"}, ("id",), text([f"é{i}" for i in range(ROWS)]), (MARIA,)
    ),
    Shape("uuid", {"id": {PG: "uuid", MARIA: "uuid", LITE: "text NOT NULL"}}, ("id",), text(UUIDS)),
    *(
        Shape("binary", {"id": BINARY[on] + " NOT NULL"}, ("id",), one([BLOBS[on].format(h) for h in HEX]), (on,))
        for on in EVERYWHERE
    ),
    Shape(
        "varbinary",
        {"id": "varbinary(9)"},
        ("id",),
        one(["x''", "x'00'", "x'0000'", "x'ff'", "x'25275c'", "x'ff00'"]),
        (MARIA,),
    ),
    Shape("date", {"id": {PG: "date", MARIA: "date", LITE: "text NOT NULL"}}, ("id",), text(DAYS)),
    Shape(
        "moment",
        {"id": {PG: "timestamp", MARIA: "datetime(6)", LITE: "text NOT NULL"}},
        ("id",),
        text(STAMPS),
    ),
    Shape("infinite dates", {"id": "date"}, ("id",), text(["-infinity", "infinity", "0044-03-15 BC", *DAYS]), (PG,)),
    Shape(
        "infinite moments with zone",
        {"id": "timestamptz"},
        ("id",),
        text(["-infinity", "infinity", "2024-10-27 02:30+02", "2024-10-27 02:30+01", *STAMPS]),
        (PG,),
    ),
    Shape("zero date", {"id": "date"}, ("id",), text(["0000-00-00", *DAYS]), (MARIA,)),
    Shape("time", {"id": "time"}, ("id",), text(CLOCKS), SERVERS),
    Shape(
        "long and negative times",
        {"id": "time(6)"},
        ("id",),
        text(
            [
                "-838:59:59",
                "-00:30:00",
                "-00:00:00.000001",
                "00:00:00",
                "00:30:00.5",
                "25:00:00",
                "838:59:59",
            ]
        ),
        (MARIA,),
    ),
    Shape("year", {"id": "year"}, ("id",), one([str(1970 + i) for i in range(ROWS)]), (MARIA,)),
    Shape("interval", {"id": "interval"}, ("id",), text([f"{i} days -{i}:00:01" for i in range(ROWS)]), (PG,)),
    Shape(
        "enum",
        {"id": '"Mood"'},
        ("id",),
        text(["sad", "O''K", "happy", "a,b", "%s"]),
        (PG,),
        before={PG: """CREATE TYPE "Mood" AS ENUM ('sad', 'O''K', 'happy', 'a,b', '%s')"""},
    ),
    Shape(
        "domain",
        {"id": "code"},
        ("id",),
        text([f"c{i}" for i in range(ROWS)]),
        (PG,),
        before={PG: "CREATE DOMAIN code AS text"},
    ),
    Shape("address", {"id": "inet"}, ("id",), text([f"10.0.{i % 5}.{i}/24" for i in range(ROWS)]), (PG,)),
    Shape("bits", {"id": "bit varying(8)"}, ("id",), one([f"B'{i:b}'" for i in range(ROWS)]), (PG,)),
    Shape("truth", {"id": "boolean"}, ("id",), one(["true", "false"]), (PG,)),
    Shape("array", {"id": "integer[]"}, ("id",), text([f"{{{i},{-i}}}" for i in range(ROWS)]), (PG,)),
    Shape("range", {"id": "int4range"}, ("id",), text([f"[{i},{i + 3})" for i in range(ROWS)]), (PG,)),
    Shape(
        "any type in one column",
        {"id": "NOT NULL"},
        ("id",),
        one(["1", "2.5", "'1'", "'x'", "x'00'", "x'ff'", "-9", "''", "1e300", "'ä'"]),
        (LITE,),
    ),
)
