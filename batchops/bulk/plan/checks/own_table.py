"""own-table: the condition or a value reads what the job itself changes, so each batch would find something else."""

from collections.abc import Iterator

from batchops.bulk.plan.checks.chains import links
from batchops.bulk.plan.checks.context import Case, Check, Finding
from batchops.db.facts import TableName
from batchops.sql.expression import is_default
from batchops.sql.subselects import called_functions, subselects
from batchops.sql.tokens import Piece, Pieces, cut

_BEFORE_A_TABLE = frozenset({"from", "join", ",", "only", "straight_join"})
_NAMED_BY_PLACE = frozenset({"natural", "using", "*"})


def _look(case: Case) -> Iterator[Finding]:
    for name in sorted(_changed(case) & case.read_besides, key=str):
        if not _untouched(case, name, case.pieces):
            yield _finding(case, name)


def _changed(case: Case) -> set[TableName]:
    """The table, and those whose rows its foreign keys change with it."""
    behind = {(link.reference.child.schema, link.reference.child.name) for link in links(case) if link.changes}
    return behind | {(case.table.schema, case.table.name)}


def _untouched(case: Case, name: TableName, pieces: list[Pieces]) -> bool:
    """Whether a backfill sets no column that a sub-select could read of its own table."""
    if not case.sets or name != (case.table.schema, case.table.name):
        return False
    generated = [column.name for column in case.table.columns if column.generated]
    changing = {column.casefold() for column in (*case.sets, *case.facts.follow_updates, *generated)}
    if any(_reads(one, changing, case.table.name.casefold()) for one in pieces):
        return False
    # The columns that a view or a function reads stand nowhere in the text.
    functions = frozenset[str]().union(*(called_functions(one) for one in pieces))
    if functions and name in case.read_by("true", functions):
        return False
    own = case.table.name.casefold()
    others = {source for one in pieces for source in _sources(one) if source.rpartition(".")[2].strip('"`') != own}
    return not any(name in case.read_by(f"EXISTS (SELECT 1 FROM {source})", frozenset()) for source in sorted(others))


def _inside(pieces: Pieces) -> list[int]:
    """The pieces within sub-selects."""
    spans = subselects(pieces)
    return [i for i, p in enumerate(pieces.pieces) if any(s.start <= p.start < s.end for s in spans)]


def _reads(pieces: Pieces, columns: set[str], table: str) -> bool:
    inside = _inside(pieces)
    names = {pieces.at(i).value.casefold() for i in inside if _named(pieces, i)}
    return bool(names & columns) or any(_by_place(pieces, i) or _whole(pieces, i, table) for i in inside)


def _named(pieces: Pieces, index: int) -> bool:
    piece = pieces.at(index)
    return piece.kind in {"word", "name"} or piece.written.startswith('"')  # a name, with ANSI_QUOTES


def _sources(pieces: Pieces) -> Iterator[str]:
    """What may be a table or a view, as it is written."""
    for index in _inside(pieces):
        if _named(pieces, index) and pieces.at(index - 1).value in _BEFORE_A_TABLE and not pieces.called(index):
            last = index
            while pieces.at(last + 1).written == "." and _named(pieces, last + 2):
                last += 2
            yield pieces.text[pieces.at(index).start : pieces.at(last).end]


def _whole(pieces: Pieces, index: int, table: str) -> bool:
    """Whether the table gives its columns other names there, or is handed on as a whole row."""
    if not _named(pieces, index):
        return False
    here = pieces.at(index).value.casefold()
    before, after = pieces.at(index - 1).value, pieces.at(index + 1).written
    if here == table and before in _BEFORE_A_TABLE | {"."}:
        alias = index + 2 if pieces.at(index + 1).value == "as" else index + 1
        return _named(pieces, alias) and pieces.called(alias) and pieces.at(alias).operand
    return here in _names_of(pieces, table) and after != "." and not _introduced(pieces, index, table)


def _names_of(pieces: Pieces, table: str) -> set[str]:
    """What the table is called in sub-selects."""
    found = {table}
    return found | {pieces.at(i).value.casefold() for i in _inside(pieces) if _introduced(pieces, i, table)}


def _introduced(pieces: Pieces, index: int, table: str) -> bool:
    """Whether that is an alias, directly behind the table's name."""
    behind = index - 2 if pieces.at(index - 1).value == "as" else index - 1
    if not (_named(pieces, index) and pieces.at(index).operand and _named(pieces, behind)):
        return False
    return pieces.at(behind).value.casefold() == table and pieces.at(behind - 1).value in _BEFORE_A_TABLE | {"."}


def _by_place(pieces: Pieces, index: int) -> bool:
    """Whether columns are taken without their names there. count(*) and EXISTS (SELECT * …) read none."""
    piece: Piece = pieces.at(index)
    if piece.value not in _NAMED_BY_PLACE or piece.kind == "string":
        return False
    before = pieces.at(index - 1)
    if piece.value != "*":
        return True
    if before.written == "(" and pieces.at(index - 2).value == "count":
        return False
    exists = before.value == "select" and pieces.at(index - 3).value == "exists"
    return not exists and (before.value in {"select", ",", "."} or before.written == ".")


def _finding(case: Case, name: TableName) -> Finding:
    own, column = name == (case.table.schema, case.table.name), _set_by(case, name)
    what = f'"{case.table.label}" itself' if own else f'"{name[1]}", whose rows change with them by a foreign key'
    reads = "The condition or a value" if column is None else f'The value of "{column}"'
    return Finding(
        f"{reads} reads {what}: each batch would find other rows than one statement over the whole table does.",
        _values_aside(case, column) if column else _keys_aside(case),
    )


def _set_by(case: Case, name: TableName) -> str | None:
    """The first column that is set by what reads that table; None where the condition reads it too."""
    frozen = case.route.frozen
    values = {column: f"({value}) IS NOT NULL" for column, value in frozen.assignments if not is_default(value)}
    reading = [column for column, text in values.items() if _reads_table(case, name, text)]
    condition = frozen.predicate is not None and _reads_table(case, name, frozen.predicate)
    return reading[0] if reading and not condition else None


def _reads_table(case: Case, name: TableName, text: str) -> bool:
    return name in case.read_by(text, called_functions(cut(text, case.database.family.words.dialect)))


def _keys_aside(case: Case) -> str:
    return (
        f"put the keys aside first (CREATE TABLE ids AS SELECT … FROM {case.table.label} WHERE …) and use --where "
        "'id IN (SELECT id FROM ids)', or, where one batch cannot change what the next one finds"
    )


def _values_aside(case: Case, column: str) -> str:
    table, key = case.table.label, case.route.frozen.key
    same = " AND ".join(f"v.{name} = {table}.{name}" for name in key)
    return (
        f"put the values aside first (CREATE TABLE new_values AS SELECT {', '.join(key)}, … AS {column} FROM {table}; "
        f"CREATE UNIQUE INDEX new_values_key ON new_values ({', '.join(key)})) and use --set '{column} = (SELECT "
        f"v.{column} FROM new_values AS v WHERE {same})', or, where one batch cannot change what the next one finds"
    )


CHECK = Check("own-table", "the condition reads the table that it changes", ("purge", "backfill"), _look)
