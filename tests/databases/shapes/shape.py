"""A shape of table, and the two tables that are made of it."""

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

LIKE_OTHERS = frozenset(
    {
        "negative and zero",
        "sparse",
        "real",
        "padded",
        "latin1",
        "varbinary",
        "date",
        "infinite dates",
        "year",
        "interval",
        "domain",
        "address",
        "bits",
        "truth",
        "range",
        "the other order",
        "two columns",
        "times and spans",
        "capitals",
        "an OR at the top",
        "matches everything",
        "unlogged",
        "Aria",
        "compressed rows",
        "numeric",
        "reserved words",
        "blob in a tree of its own",
        "decimal",
        "timestamp",
        "times with zone",
        "domain of numbers",
        "months",
    }
)
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
        self.on = FAMILY_NAMES[database.backend]
        self._quoted = partial(quoted, on=self.on)
        self.schema = f"{database.name}_other" if shape.schema and self.on == MARIA else shape.schema
        if self.schema is not None and self.on == LITE:
            self.schema = "main"
        self.table = shape.table + suffix
        self.key = shape.key

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
