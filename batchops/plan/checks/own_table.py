"""own-table: the condition or a value reads what the job itself changes, so each batch would find something else."""

from collections.abc import Iterator

from batchops.db.facts import TableName
from batchops.expressions.pieces import Piece, Pieces
from batchops.expressions.subselects import subselects
from batchops.plan.checks.case import Case, Check, Finding
from batchops.plan.checks.chains import links

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
    return not any(_reads(one, changing, case.table.name.casefold()) for one in pieces)


def _reads(pieces: Pieces, columns: set[str], table: str) -> bool:
    spans = subselects(pieces)
    if not spans:
        return True  # by a view or a function, whose columns stand nowhere in the text
    inside = [i for i, p in enumerate(pieces.pieces) if any(s.start <= p.start < s.end for s in spans)]
    names = {pieces.at(i).value.casefold() for i in inside if pieces.at(i).kind in {"word", "name"}}
    return bool(names & columns) or table not in names or any(_by_place(pieces, i) for i in inside)


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
    own = name == (case.table.schema, case.table.name)
    what = f'"{case.table.label}" itself' if own else f'"{name[1]}", whose rows change with them by a foreign key'
    return Finding(
        f"The condition or a value reads {what}: each batch would find other rows than one statement over the whole "
        "table does.",
        f"put the keys aside first (CREATE TABLE ids AS SELECT … FROM {case.table.label} WHERE …) and use --where "
        "'id IN (SELECT id FROM ids)', or, where one batch cannot change what the next one finds",
    )


CHECK = Check("own-table", "the condition reads the table that it changes", ("purge", "backfill"), _look)
