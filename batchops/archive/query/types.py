"""The types of DuckDB that hold the archived kinds of columns exactly, and the SQL that converts between them."""

from collections.abc import Collection, Mapping, Sequence

from batchops.db.exact_columns import ExactColumn, ExactKind

TEXT = "VARCHAR"
MIXED = 'UNION("integer" BIGINT, "real" DOUBLE, "text" VARCHAR, "blob" BLOB)'
"""For SQLite's columns whose values have several storage classes."""
MOST_DIGITS = 38
_TYPES = {
    ExactKind.INT8: "TINYINT", ExactKind.INT16: "SMALLINT", ExactKind.INT32: "INTEGER", ExactKind.INT64: "BIGINT",
    ExactKind.UINT8: "UTINYINT", ExactKind.UINT16: "USMALLINT", ExactKind.UINT32: "UINTEGER",
    ExactKind.UINT64: "UBIGINT", ExactKind.FLOAT: "FLOAT", ExactKind.DOUBLE: "DOUBLE", ExactKind.BOOLEAN: "BOOLEAN",
    ExactKind.DATE: "DATE", ExactKind.TIMESTAMP: "TIMESTAMP", ExactKind.INSTANT: "TIMESTAMP WITH TIME ZONE",
    ExactKind.UUID: "UUID", ExactKind.BYTES: "BLOB", ExactKind.TEXT: TEXT, ExactKind.TAGGED: MIXED,
}  # fmt: skip
_SIGNED = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_UNSIGNED = ("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_DIGITS = dict(zip((*_SIGNED[:4], *_UNSIGNED), (3, 5, 10, 19, 3, 5, 10, 20), strict=True))
"""The digits of each type of whole numbers."""
_STORAGE_CLASSES = frozenset(("BIGINT", "DOUBLE", TEXT, "BLOB", MIXED))


_WHOLE_IN_DOUBLE = 1 << 53
"""Up to this number a DOUBLE holds each whole number."""


def quoted(name: str) -> str:
    """Return a name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def as_text(column: ExactColumn) -> bool:
    """Whether DuckDB has no number that is wide enough for the column."""
    return column.kind is ExactKind.DECIMAL and column.precision > MOST_DIGITS


def type_of(column: ExactColumn) -> str:
    """Return the type of an archived column."""
    if column.kind is ExactKind.DECIMAL:
        return TEXT if as_text(column) else f"DECIMAL({column.precision},{column.scale})"
    return _TYPES[column.kind]


def common_type(columns: Sequence[ExactColumn]) -> str:
    """Return a type that holds the values of a column of several runs exactly; text if no other does.

    Where one type of the database has had values of several kinds, as in SQLite, the values are mixed.
    """
    types = {type_of(column): column for column in columns}
    if len(types) == 1:
        return next(iter(types))
    if MIXED in types or (len({one.sql_type for one in columns}) == 1 and types.keys() <= _STORAGE_CLASSES):
        return MIXED
    if types.keys() <= _DIGITS.keys():
        return _whole(types)
    if types.keys() == {"FLOAT", "DOUBLE"}:
        return "DOUBLE"
    return _decimal(types) if TEXT not in types else TEXT


def _whole(types: Collection[str]) -> str:
    signed = max((_SIGNED.index(one) for one in types if one in _SIGNED), default=-1)
    unsigned = max((_UNSIGNED.index(one) for one in types if one in _UNSIGNED), default=-1)
    return _UNSIGNED[unsigned] if signed < 0 else _SIGNED[max(signed, unsigned + 1)]


def _decimal(types: Mapping[str, ExactColumn]) -> str:
    """Return a decimal type for whole and decimal numbers."""
    sizes = []
    for type, column in types.items():
        if column.kind is ExactKind.DECIMAL:
            sizes.append((column.precision - column.scale, column.scale))
        elif type in _DIGITS:
            sizes.append((_DIGITS[type], 0))
        else:
            return TEXT
    whole, scale = (max(part) for part in zip(*sizes, strict=True))
    return f"DECIMAL({whole + scale},{scale})" if whole + scale <= MOST_DIGITS else TEXT


def converted(value: str, column: ExactColumn, wanted: str) -> str:
    """Return the expression of a value, read from a file as a column of this kind, in the type that is wanted."""
    if column.kind is ExactKind.TAGGED:
        return _untagged(value, wanted)
    if type_of(column) == wanted:
        return value
    if wanted == TEXT and column.kind is ExactKind.BYTES:
        return f"'\\x' || lower(hex({value}))"
    if wanted == MIXED:  # a cast would make a value of a NULL
        return f"CASE WHEN {value} IS NOT NULL THEN CAST({value} AS {MIXED}) END"
    return f"CAST({value} AS {wanted})"


def _untagged(value: str, wanted: str) -> str:
    """Return the expression of a value that is spelled with its storage class."""
    behind = f"{value}[3:]"
    if wanted != MIXED:
        return behind
    values = {"i:": f"CAST({behind} AS BIGINT)", "r:": f"CAST({behind} AS DOUBLE)", "t:": behind}
    values["b:"] = f"unhex({value}[5:])"
    cases = " ".join(f"WHEN {literal(tag)} THEN CAST({one} AS {MIXED})" for tag, one in values.items())
    return f"CASE {value}[:2] {cases} END"


def kinds_in(name: str) -> str:
    """Return the expressions that count the kinds of values in a mixed column, for `unmixed`."""
    counts = [f"count(union_extract({quoted(name)}, {literal(kind)}))" for kind in ("integer", "real", "text", "blob")]
    greatest = f"max(abs(CAST(union_extract({quoted(name)}, 'integer') AS HUGEINT)))"
    return ", ".join((*counts, greatest))


def unmixed(name: str, kinds: Sequence[int]) -> str | None:
    """Return the expression of a mixed column in the type that all its values have; None if they have several.

    `kinds`: what the expressions of `kinds_in` returned. Whole and other numbers are DOUBLE, unless one is too large.
    """
    *counts, greatest = kinds
    there = [kind for kind, count in zip(("integer", "real", "text", "blob"), counts, strict=True) if count]
    values = [f"union_extract({quoted(name)}, {literal(kind)})" for kind in there]
    if len(there) == 1:
        return values[0]
    if there == ["integer", "real"] and greatest <= _WHOLE_IN_DOUBLE:
        return f"coalesce(CAST({values[0]} AS DOUBLE), {values[1]})"
    return None if there else f"CAST(NULL AS {TEXT})"
