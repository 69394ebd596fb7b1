"""Shapes of tables: one row per kind of key, name, predicate or storage that has broken such a tool somewhere."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.services.database import Database

PG, MARIA, LITE = "postgresql", "mariadb", "sqlite"
EVERYWHERE = (PG, MARIA, LITE)
SERVERS = (PG, MARIA)
FAMILY_NAMES = {"postgresql": PG, "mysql": MARIA, "sqlite": LITE}
ROWS = 61
"""Not a multiple of any batch size in use."""

Spelling = str | Mapping[str, str]
"""SQL that is the same everywhere, or each database's own; names stand in double quotes."""
Literals = Sequence[Sequence[str]]

LIKE_OTHERS = frozenset({
    "negative and zero", "sparse", "real", "padded", "latin1", "varbinary", "date", "infinite dates", "year", "interval",
    "domain", "address", "bits", "truth", "range", "the other order", "two columns", "times and spans", "capitals",
    "an OR at the top", "matches everything", "unlogged", "Aria", "compressed rows", "numeric", "reserved words",
})  # fmt: skip
"""For the long tier."""


@dataclass(frozen=True)
class Shape:
    """A table to be made twice: one for the tool, one for the plain statement.

    Each row also has `n`, its number, and `times`, which a backfill counts up.
    """

    name: str
    columns: Mapping[str, Spelling]
    """Name → type."""
    key: tuple[str, ...]
    rows: Literals
    """A SQL literal for each column."""
    databases: tuple[str, ...] = EVERYWHERE
    where: Spelling = "n % 3 <> 1"
    assignments: tuple[Spelling, ...] = ("times = times + 1",)
    table: str = "t"
    schema: str | None = None
    options: Spelling = ""
    before: Spelling = ""
    """Run once before both tables are made."""
    constraint: str = "PRIMARY KEY"
    asked_key: tuple[str, ...] | None = field(default=None)
    """--key, where the default one is not meant."""

    @property
    def quick(self) -> bool:
        """Whether it says something that no other shape of the quick tier says."""
        return self.name not in LIKE_OTHERS


def spelled(spelling: Spelling, on: str) -> str:
    text = spelling if isinstance(spelling, str) else spelling[on]
    return text.replace('"', "`") if on == MARIA and isinstance(spelling, str) else text


def quoted(name: str, on: str) -> str:
    mark = "`" if on == MARIA else '"'
    return mark + name.replace(mark, mark * 2) + mark


class Made:
    """One of the two tables."""

    def __init__(self, shape: Shape, database: Database, suffix: str) -> None:
        self._shape, self._database = shape, database
        self.on = FAMILY_NAMES[database.family]
        self._quoted = partial(quoted, on=self.on)
        self.schema = f"{database.name}_other" if shape.schema and self.on == MARIA else shape.schema
        if self.schema is not None and self.on == LITE:
            self.schema = "main"
        self.table = shape.table + suffix

    @property
    def path(self) -> str:
        """As SQL names it, and as the tool is told its name."""
        names = [self.schema] if self.schema else []
        return ".".join(self._quoted(name) for name in (*names, self.table))

    def make(self) -> None:
        shape, quote = self._shape, self._quoted
        lines = [f"{quote(name)} {spelled(type, self.on)}" for name, type in shape.columns.items()]
        lines += ["n integer NOT NULL", "times integer NOT NULL DEFAULT 0"]
        if shape.key:
            lines.append(f"{shape.constraint} ({', '.join(map(quote, shape.key))})")
        self._database.script(f"CREATE TABLE {self.path} ({', '.join(lines)}) {spelled(shape.options, self.on)}")
        filled = [name for name, type in shape.columns.items() if "GENERATED" not in spelled(type, self.on)]
        into = ", ".join([*map(quote, filled), "n"])
        values = ", ".join(f"({', '.join([*row, str(i)])})" for i, row in enumerate(shape.rows))
        self._database.script(f"INSERT INTO {self.path} ({into}) VALUES {values}")

    def plainly(self, verb: str) -> None:
        """The one big statement."""
        where = spelled(self._shape.where, self.on)
        if verb == "purge":
            self._database.script(f"DELETE FROM {self.path} WHERE {where}")
        else:
            values = ", ".join(spelled(one, self.on) for one in self._shape.assignments)
            self._database.script(f"UPDATE {self.path} SET {values} WHERE {where}")

    def content(self) -> list[str]:
        """Every row, in an order that does not depend on types."""
        columns = ", ".join([*map(self._quoted, self._shape.columns), "n", "times"])
        if self.on == PG:  # its own text shows infinity, which no Python date does
            return sorted(self._database.column(f"SELECT CAST(ROW({columns}) AS text) FROM {self.path}"))
        return sorted(map(repr, self._database.rows(f"SELECT {columns} FROM {self.path}")))


def make(shape: Shape, database: Database) -> tuple[Made, Made]:
    """The tool's table and the plain statement's."""
    mine, plain = Made(shape, database, ""), Made(shape, database, " plain")
    if mine.schema not in (None, "main"):
        database.script(f"CREATE {'DATABASE' if mine.on == MARIA else 'SCHEMA'} {quoted(mine.schema or '', mine.on)}")
    if shape.before and (sql := spelled(shape.before, mine.on)):
        database.script(sql)
    mine.make()
    plain.make()
    return mine, plain


def options(shape: Shape, made: Made, verb: str) -> dict[str, Any]:
    """What the library is asked for."""
    asked: dict[str, Any] = {"table": made.path, "where": spelled(shape.where, made.on)}
    if shape.asked_key is not None:
        asked["key"] = shape.asked_key
    if verb == "backfill":
        asked["set"] = [spelled(one, made.on) for one in shape.assignments]
    return asked


def _one(values: Sequence[str]) -> Literals:
    return [(value,) for value in values]


def _text(values: Sequence[str]) -> Literals:
    return _one([f"'{value}'" for value in values])


_IDS = _one([str(i) for i in range(ROWS)])
# With version and variant as they are drawn: MariaDB takes no others.
_UUIDS = [str(uuid.UUID(int=(i * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128, version=4)) for i in range(ROWS)]
_HEX = [value.replace("-", "") for value in _UUIDS]
_WORDS = [
    "",
    *(a + b for a in ("a", "A", "ä", "Z", "ß", "日本", "\U0001f600", "O''Brien") for b in ("", "!", "b", "ü")),
]
_BLANKS = ["a", "a ", "a  ", "ab", " a", "b", "b ", " "]
_EXTREMES = [-(2**63), -(2**63) + 1, -(2**31), -1, 0, 1, 2**31, 2**53 + 1, 2**63 - 2, 2**63 - 1]
_DAYS = [f"2024-{month:02}-{day:02}" for month in (1, 2, 12) for day in range(1, 20)]
_STAMPS = [f"2024-02-29 23:59:{second:02}.{second:06}" for second in range(ROWS - 1)]
_PAIRS = [(str(i // 7 - 3), f"'x{i % 7}'") for i in range(ROWS)]
_TRIPLES = [(str(i // 12), f"'{'abc'[i // 4 % 3]}'", f"'2024-01-0{i % 4 + 1}'") for i in range(60)]
_OBJECTS = [
    f'\'{{"kind": "{("old", "new", "12:30")[i % 3]}", "deep": {{"n": {i}}}, "tags": ["t{i % 2}"]}}\''
    for i in range(ROWS)
]
_BINARY = {PG: "bytea", MARIA: "binary(16)", LITE: "blob"}
_BLOBS = {PG: "'\\x{}'", MARIA: "x'{}'", LITE: "x'{}'"}
_CLOCKS = [f"{hour:02}:{minute:02}" for hour in (0, 12, 23) for minute in range(0, 60, 3)]
_JSON_OLD = {
    PG: "doc->>'kind' = '12:30' OR (doc #>> '{deep,n}')::int > 40",
    MARIA: "JSON_EXTRACT(doc, '$.kind') = '12:30' OR JSON_VALUE(doc, '$.deep.n') > 40",
    LITE: "doc ->> 'kind' = '12:30' OR json_extract(doc, '$.deep.n') > 40",
}

KEYS = (
    Shape("integer", {"id": "integer"}, ("id",), _IDS),
    Shape("negative and zero", {"id": "integer"}, ("id",), _one([str(i - 30) for i in range(ROWS)])),
    Shape("bigint extremes", {"id": "bigint"}, ("id",), _one([str(i) for i in _EXTREMES])),
    Shape("sparse", {"id": "bigint"}, ("id",), _one([str(i**9) for i in range(ROWS)])),
    Shape(
        "unsigned above 2^63", {"id": "bigint unsigned"}, ("id",),
        _one([str(2**64 - 1 - i * 2**58) for i in range(ROWS)]), (MARIA,),
    ),
    Shape("numeric", {"id": "numeric(30,10)"}, ("id",), _one([f"{i - 30}.0000000001" for i in range(ROWS)]), SERVERS),
    Shape(
        "numeric with NaN and infinity", {"id": "numeric"}, ("id",),
        [("'NaN'",), ("1e-300",), *_one([f"{i}.{'0' * i}1" for i in range(50)])], (PG,),
    ),
    Shape(
        "double", {"id": {PG: "double precision", MARIA: "double", LITE: "real"}}, ("id",),
        _one([repr((i - 30) / 7) for i in range(ROWS)]),
    ),
    Shape("real", {"id": "real"}, ("id",), _one([repr((i - 30) / 7) for i in range(ROWS)]), (PG,)),
    Shape("float with NaN", {"id": "double precision"}, ("id",), _text(["NaN", "-Infinity", "Infinity", *map(str, range(20))]), (PG,)),
    Shape("text, not ASCII", {"id": {PG: "text", MARIA: "varchar(40) COLLATE utf8mb4_bin", LITE: "text NOT NULL"}}, ("id",), _text(_WORDS)),
    Shape(
        "trailing blanks",
        {"id": {PG: "text", MARIA: "varchar(40) COLLATE utf8mb4_nopad_bin", LITE: "text NOT NULL"}}, ("id",), _text(_BLANKS),
    ),
    Shape("padded", {"id": "char(6)"}, ("id",), _text([f"x{i} y" for i in range(ROWS)]), SERVERS),
    Shape(
        "blind to case", {"id": {MARIA: "varchar(40) COLLATE utf8mb4_general_ci", LITE: "text COLLATE NOCASE NOT NULL"}},
        ("id",), _text([f"{'aB'[i % 2]}{i}X" for i in range(ROWS)]), (MARIA, LITE),
    ),
    Shape("latin1", {"id": "varchar(20) CHARACTER SET latin1"}, ("id",), _text([f"é{i}" for i in range(ROWS)]), (MARIA,)),
    Shape("uuid", {"id": {PG: "uuid", MARIA: "uuid", LITE: "text NOT NULL"}}, ("id",), _text(_UUIDS)),
    *(
        Shape("binary", {"id": _BINARY[on] + " NOT NULL"}, ("id",), _one([_BLOBS[on].format(h) for h in _HEX]), (on,))
        for on in EVERYWHERE
    ),
    Shape("varbinary", {"id": "varbinary(9)"}, ("id",), _one(["x''", "x'00'", "x'0000'", "x'ff'", "x'25275c'", "x'ff00'"]), (MARIA,)),
    Shape("date", {"id": {PG: "date", MARIA: "date", LITE: "text NOT NULL"}}, ("id",), _text(_DAYS)),
    Shape(
        "moment", {"id": {PG: "timestamp", MARIA: "datetime(6)", LITE: "text NOT NULL"}}, ("id",), _text(_STAMPS),
    ),
    Shape("infinite dates", {"id": "date"}, ("id",), _text(["-infinity", "infinity", "0044-03-15 BC", *_DAYS]), (PG,)),
    Shape(
        "infinite moments with zone", {"id": "timestamptz"}, ("id",),
        _text(["-infinity", "infinity", "2024-10-27 02:30+02", "2024-10-27 02:30+01", *_STAMPS]), (PG,),
    ),
    Shape("zero date", {"id": "date"}, ("id",), _text(["0000-00-00", *_DAYS]), (MARIA,)),
    Shape("time", {"id": "time"}, ("id",), _text(_CLOCKS), SERVERS),
    Shape("long and negative times", {"id": "time(6)"}, ("id",), _text([
        "-838:59:59", "-00:30:00", "-00:00:00.000001", "00:00:00", "00:30:00.5", "25:00:00", "838:59:59",
    ]), (MARIA,)),
    Shape("year", {"id": "year"}, ("id",), _one([str(1970 + i) for i in range(ROWS)]), (MARIA,)),
    Shape("interval", {"id": "interval"}, ("id",), _text([f"{i} days -{i}:00:01" for i in range(ROWS)]), (PG,)),
    Shape(
        "enum", {"id": '"Mood"'}, ("id",), _text(["sad", "O''K", "happy", "a,b", "%s"]), (PG,),
        before={PG: """CREATE TYPE "Mood" AS ENUM ('sad', 'O''K', 'happy', 'a,b', '%s')"""},
    ),
    Shape("domain", {"id": "code"}, ("id",), _text([f"c{i}" for i in range(ROWS)]), (PG,), before={PG: "CREATE DOMAIN code AS text"}),
    Shape("address", {"id": "inet"}, ("id",), _text([f"10.0.{i % 5}.{i}/24" for i in range(ROWS)]), (PG,)),
    Shape("bits", {"id": "bit varying(8)"}, ("id",), _one([f"B'{i:b}'" for i in range(ROWS)]), (PG,)),
    Shape("truth", {"id": "boolean"}, ("id",), _one(["true", "false"]), (PG,)),
    Shape("array", {"id": "integer[]"}, ("id",), _text([f"{{{i},{-i}}}" for i in range(ROWS)]), (PG,)),
    Shape("range", {"id": "int4range"}, ("id",), _text([f"[{i},{i + 3})" for i in range(ROWS)]), (PG,)),
    Shape("any type in one column", {"id": "NOT NULL"}, ("id",), _one(
        ["1", "2.5", "'1'", "'x'", "x'00'", "x'ff'", "-9", "''", "1e300", "'ä'"]), (LITE,)),
)  # fmt: skip

COMPOSITE = (
    Shape("two columns", {"a": "integer NOT NULL", "b": "varchar(9) NOT NULL"}, ("a", "b"), _PAIRS),
    Shape("the other order", {"a": "integer NOT NULL", "b": "varchar(9) NOT NULL"}, ("b", "a"), _PAIRS),
    Shape(
        "three columns", {"a": "bigint NOT NULL", "b": "varchar(9) NOT NULL", "c": {PG: "date", MARIA: "date", LITE: "text NOT NULL"}},
        ("a", "b", "c"), _TRIPLES,
    ),
    Shape("with a list of arrays", {"a": "integer", "b": "text[]"}, ("a", "b"), [(str(i // 5), f"'{{x,{i}}}'") for i in range(ROWS)], (PG,)),
    Shape("times and spans", {"a": "time", "b": "integer"}, ("a", "b"), [(f"'-00:{i:02}:00'", str(i)) for i in range(60)], (MARIA,)),
    Shape("unique index, no primary key", {"a": "integer NOT NULL", "b": "integer"}, ("a",),
          [(str(i * 3), "NULL") for i in range(ROWS)], constraint="UNIQUE"),
    Shape(
        "another key asked for", {"id": "integer PRIMARY KEY", "other": "varchar(20) NOT NULL"}, ("other",),
        [(str(i), f"'o{i * 37 % 61}'") for i in range(ROWS)], constraint="UNIQUE", asked_key=("other",),
    ),
)  # fmt: skip

NAMES = (
    Shape("reserved words", {"select": "integer", "from": "integer"}, ("select",), [(str(i), str(i % 4)) for i in range(ROWS)],
          table="order", where='"from" IN (1, 2)', assignments=('"from" = "from" + 10',)),
    Shape("percent and colon", {"100% a:b": "integer", "%s": "integer"}, ("100% a:b",), [(str(i), str(i % 4)) for i in range(ROWS)],
          table="50%:x %(y)s", where='"%s" < 2', assignments=('"%s" = "%s" + 7',)),
    Shape("quotes and blanks", {'we;ird"na`me': "integer", "it's": "integer"}, ('we;ird"na`me',), [(str(i), str(i % 4)) for i in range(ROWS)],
          table='ta"b`le .x', where={PG: '"it\'s" < 2', MARIA: "`it's` < 2", LITE: '"it\'s" < 2'}),
    Shape("Ünïcode", {"Schlüssel": "integer", "größe": "integer"}, ("Schlüssel",), [(str(i), str(i % 4)) for i in range(ROWS)],
          table="Bücher", where='"größe" < 2', assignments=('"größe" = "größe" * 2',)),
    Shape("capitals", {"Id": "integer"}, ("Id",), _IDS, table="Events"),
    Shape("another schema", {"id": "integer"}, ("id",), _IDS, table="t", schema="o.ther s"),
)  # fmt: skip

PREDICATES = (
    Shape("a colon", {"id": "integer", "at": "varchar(20)"}, ("id",), [(str(i), f"'{11 + i % 3}:30'") for i in range(ROWS)],
          where="at = '12:30' OR at LIKE '%3:30'", assignments=("at = '07:45:00'",)),
    Shape("LIKE with an escaped percent", {"id": "integer", "off": "varchar(20)"}, ("id",),
          [(str(i), f"'10{('%', 'x', '%%')[i % 3]}{i}'") for i in range(ROWS)],
          where={PG: r"off LIKE '10\%%'", MARIA: r"off LIKE '10\%%'", LITE: r"off LIKE '10\%%' ESCAPE '\'"}),
    Shape("quotes in a value", {"id": "integer", "who": "varchar(20)"}, ("id",), [(str(i), ("'O''Brien'", "'x:y'")[i % 2]) for i in range(ROWS)],
          where="who = 'O''Brien'", assignments=("who = 'it''s: 100%'",)),
    Shape("JSON", {"id": "integer", "doc": {PG: "jsonb", MARIA: "json", LITE: "text"}}, ("id",),
          [(str(i), _OBJECTS[i]) for i in range(ROWS)], where=_JSON_OLD),
    Shape("JSON's question mark", {"id": "integer", "doc": "jsonb"}, ("id",), [(str(i), _OBJECTS[i]) for i in range(ROWS)], (PG,),
          where="doc->'tags' ? 't1' AND doc @> '{\"deep\": {}}'"),
    Shape("an OR at the top", {"id": "integer"}, ("id",), _IDS, where="n = 3 OR n > 50"),
    Shape("nothing but NULL", {"id": "integer", "x": "integer"}, ("id",), [(str(i), "NULL" if i % 2 else "1") for i in range(ROWS)],
          where="x IS NULL", assignments=("x = coalesce(x, 0) - 1", "times = times + 1")),
    Shape("a sub-select of another table", {"id": "integer"}, ("id",), _IDS, where="id IN (SELECT x FROM gone)",
          before="CREATE TABLE gone (x integer); INSERT INTO gone VALUES (3), (4), (60), (NULL)"),
    Shape("a cast", {"id": "integer", "v": "text"}, ("id",), [(str(i), f"'{i}'") for i in range(ROWS)], (PG,), where="v::int8 % 2 = 0",
          assignments=("v = (v::int + 1)::text",)),
    Shape("matches nothing", {"id": "integer"}, ("id",), _IDS, where="n < 0"),
    Shape("matches everything", {"id": "integer"}, ("id",), _IDS, where="n >= 0"),
    Shape("only the last row", {"id": "integer"}, ("id",), _IDS, where="n = 60"),
    Shape("generated column", {"id": "integer", "twice": {
        PG: "integer GENERATED ALWAYS AS (times * 2 + n) STORED", MARIA: "integer GENERATED ALWAYS AS (times * 2 + n) VIRTUAL",
        LITE: "integer GENERATED ALWAYS AS (times * 2 + n) VIRTUAL"}}, ("id",), _IDS, where="twice < 40"),
)  # fmt: skip

STORAGE = (
    Shape("WITHOUT ROWID", {"a": "integer NOT NULL", "b": "text NOT NULL"}, ("b", "a"), _PAIRS, (LITE,), options="WITHOUT ROWID"),
    Shape("rowid only", {"x": "integer"}, (), _IDS, (LITE,)),
    Shape("rowid under another name", {"rowid": "text"}, (), _text(["same"] * ROWS), (LITE,)),
    Shape("a primary key that may hold NULL", {"id": "text"}, ("id",), _one(["NULL"] * 9 + [f"'{i}'" for i in range(40)]), (LITE,)),
    Shape("STRICT", {"id": "integer", "x": "any"}, ("id",), [(str(i), ("1", "'1'", "x'01'")[i % 3]) for i in range(ROWS)], (LITE,),
          where="typeof(x) = 'text'", options="STRICT"),
    Shape("descending key", {"id": "integer NOT NULL", "x": "text NOT NULL"}, ("x", "id"), [(str(i), f"'{i % 5}'") for i in range(ROWS)], (LITE,)),
    Shape("unlogged", {"id": "integer"}, ("id",), _IDS, (PG,), options="WITH (fillfactor = 50)"),
    Shape("system-versioned", {"id": "integer"}, ("id",), _IDS, (MARIA,), options="WITH SYSTEM VERSIONING"),
    Shape("Aria", {"id": "integer"}, ("id",), _IDS, (MARIA,), options="ENGINE=Aria"),
    Shape("partitioned", {"id": "integer"}, ("id",), _IDS, (MARIA,), options="PARTITION BY HASH (id) PARTITIONS 4"),
    Shape("compressed rows", {"id": "integer"}, ("id",), _IDS, (MARIA,), options="ROW_FORMAT=COMPRESSED"),
)  # fmt: skip

SHAPES = (*KEYS, *COMPOSITE, *NAMES, *PREDICATES, *STORAGE)
