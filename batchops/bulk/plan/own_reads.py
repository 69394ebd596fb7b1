"""Which tables a job's condition and values read, and which of these it changes itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.bulk.children.graph import Graph, name_of
from batchops.bulk.plan.chains import links
from batchops.bulk.plan.pinned import Pinned
from batchops.db.database import Database
from batchops.db.facts import SET_DEFAULT, SET_NULL, TableFacts, TableName
from batchops.db.table import Table
from batchops.sql.expression import is_default
from batchops.sql.selection import Selection, user_sql
from batchops.sql.subselects import called_functions, subselects
from batchops.sql.tokens import SqlToken, SqlTokens, tokenize

_BEFORE_A_TABLE = frozenset({"from", "join", ",", "only", "straight_join"})
_NAMED_BY_PLACE = frozenset({"natural", "using", "*"})


@dataclass(frozen=True)
class JobReads:
    """What a job reads in its pinned condition and values."""

    connection: sa.Connection
    database: Database
    event: str
    """What the database calls the change: DELETE, UPDATE, or SELECT if rows are only copied."""
    table: Table
    facts: TableFacts
    pinned: Pinned
    graph: Graph | None = None
    """The tables whose rows are deleted with the job's."""

    @property
    def sets(self) -> frozenset[str]:
        """The columns that a backfill sets."""
        return frozenset(column for column, _ in self.pinned.assignments)

    @property
    def selection(self) -> Selection:
        return Selection(self.table, self.pinned.condition)

    @cached_property
    def besides(self) -> frozenset[TableName]:
        """The tables that the condition and the values read in sub-selects, views and functions."""
        tokens = self.tokens
        functions: frozenset[str] = frozenset().union(*(called_functions(one) for one in tokens))
        if not functions and not any(one.inner for one in tokens):
            return frozenset()
        values = [user_sql(f"({value})") for _, value in self.pinned.assignments if not is_default(value)]
        return self.database.backend.facts.tables_read(
            self.connection, self.table, self.selection.clause, values, functions
        )

    def read_by(self, condition: str, functions: frozenset[str]) -> frozenset[TableName]:
        """Return the tables that a condition reads in sub-selects or functions; none if the server cannot tell."""
        self.connection.exec_driver_sql("SAVEPOINT asking")
        try:
            return self.database.backend.facts.tables_read(
                self.connection, self.table, user_sql(condition), (), functions
            )
        except DBAPIError:  # it names a source that only the condition itself defines, such as a WITH
            return frozenset()
        finally:
            self.connection.exec_driver_sql("ROLLBACK TO SAVEPOINT asking")

    @property
    def tokens(self) -> list[SqlTokens]:
        """The tokens of the condition and of the values."""
        texts = [self.pinned.condition, *(value for _, value in self.pinned.assignments)]
        return [tokenize(text, self.database.backend.sql_functions.dialect) for text in texts if text]

    @cached_property
    def changed(self) -> frozenset[TableName]:
        """The job's table, and the tables whose rows foreign keys change with it."""
        if self.event == "SELECT":
            return frozenset()
        if self.graph is not None:
            return frozenset((table.schema, table.name) for table in self.graph.changed)
        behind = {(link.reference.child.schema, link.reference.child.name) for link in links(self) if link.changes}
        return frozenset({*behind, (self.table.schema, self.table.name)})

    @cached_property
    def set_by_keys(self) -> frozenset[str]:
        """The columns that the condition names and that foreign keys set in rows of the table as others are deleted."""
        if self.event != "DELETE" or self.pinned.condition is None:
            return frozenset()
        if self.graph is not None:
            edges = [edge for edge in self.graph.acting("null") if name_of(edge.child) == name_of(self.table)]
            columns = [column for edge in edges for column in edge.nulls]
        else:
            sets = [
                one.reference for one in links(self) if one.event == "DELETE" and one.action in (SET_NULL, SET_DEFAULT)
            ]
            own = (self.table.schema, self.table.name)
            columns = [name for one in sets if (one.child.schema, one.child.name) == own for name in one.columns]
        tokens = tokenize(self.pinned.condition, self.database.backend.sql_functions.dialect)
        named = {tokens.at(i).value.casefold() for i in range(len(tokens.tokens)) if _named(tokens, i)}
        return frozenset(column for column in columns if column.casefold() in named)

    def changing(self) -> Iterator[TableName]:
        """Yield the tables that the job both reads and changes, so that each batch would read something else."""
        for name in sorted(self.changed & self.besides, key=str):
            if not _untouched(self, name, self.tokens):
                yield name

    def stored(self) -> Iterator[str]:
        """Yield the columns whose values have to be evaluated at the start, because they read tables."""
        for column, value in self.pinned.assignments:
            if is_default(value):
                continue
            tokens = tokenize(value, self.database.backend.sql_functions.dialect)
            if tokens.inner or self.read_by(f"({value}) IS NOT NULL", called_functions(tokens)):
                yield column


def _untouched(reads: JobReads, name: TableName, tokens: list[SqlTokens]) -> bool:
    """Whether a backfill sets no column that a sub-select could read of its own table."""
    if not reads.sets or name != (reads.table.schema, reads.table.name):
        return False
    generated = [column.name for column in reads.table.columns if column.generated]
    changing = {column.casefold() for column in (*reads.sets, *reads.facts.follow_updates, *generated)}
    if any(_reads(one, changing, reads.table.name.casefold()) for one in tokens):
        return False
    # The text does not name the columns that a view or a function reads.
    functions = frozenset[str]().union(*(called_functions(one) for one in tokens))
    if functions and name in reads.read_by("true", functions):
        return False
    own = reads.table.name.casefold()
    others = {source for one in tokens for source in _sources(one) if source.rpartition(".")[2].strip('"`') != own}
    return not any(name in reads.read_by(f"EXISTS (SELECT 1 FROM {source})", frozenset()) for source in sorted(others))


def _inside(tokens: SqlTokens) -> list[int]:
    """Return the indexes of the tokens within sub-selects."""
    spans = subselects(tokens)
    return [i for i, p in enumerate(tokens.tokens) if any(s.start <= p.start < s.end for s in spans)]


def _reads(tokens: SqlTokens, columns: set[str], table: str) -> bool:
    inside = _inside(tokens)
    names = {tokens.at(i).value.casefold() for i in inside if _named(tokens, i)}
    return bool(names & columns) or any(_by_place(tokens, i) or _whole(tokens, i, table) for i in inside)


def _named(tokens: SqlTokens, index: int) -> bool:
    token = tokens.at(index)
    return token.kind in {"word", "name"} or token.written.startswith('"')  # a name, with ANSI_QUOTES


def _sources(tokens: SqlTokens) -> Iterator[str]:
    """Yield what may be a table or a view, as it is written."""
    for index in _inside(tokens):
        if _named(tokens, index) and tokens.at(index - 1).value in _BEFORE_A_TABLE and not tokens.called(index):
            last = index
            while tokens.at(last + 1).written == "." and _named(tokens, last + 2):
                last += 2
            yield tokens.text[tokens.at(index).start : tokens.at(last).end]


def _whole(tokens: SqlTokens, index: int, table: str) -> bool:
    """Whether the token gives the table's columns other names, or passes the table on as a whole row."""
    if not _named(tokens, index):
        return False
    here = tokens.at(index).value.casefold()
    before, after = tokens.at(index - 1).value, tokens.at(index + 1).written
    if here == table and before in _BEFORE_A_TABLE | {"."}:
        alias = index + 2 if tokens.at(index + 1).value == "as" else index + 1
        return _named(tokens, alias) and tokens.called(alias) and tokens.at(alias).operand
    return here in _names_of(tokens, table) and after != "." and not _introduced(tokens, index, table)


def _names_of(tokens: SqlTokens, table: str) -> set[str]:
    """Return the names that the table has in sub-selects: its own and its aliases."""
    found = {table}
    return found | {tokens.at(i).value.casefold() for i in _inside(tokens) if _introduced(tokens, i, table)}


def _introduced(tokens: SqlTokens, index: int, table: str) -> bool:
    """Whether the token is an alias, directly behind the table's name."""
    behind = index - 2 if tokens.at(index - 1).value == "as" else index - 1
    if not (_named(tokens, index) and tokens.at(index).operand and _named(tokens, behind)):
        return False
    return tokens.at(behind).value.casefold() == table and tokens.at(behind - 1).value in _BEFORE_A_TABLE | {"."}


def _by_place(tokens: SqlTokens, index: int) -> bool:
    """Whether the token reads columns without their names. count(*) and EXISTS (SELECT * …) read none."""
    token: SqlToken = tokens.at(index)
    if token.value not in _NAMED_BY_PLACE or token.kind == "string":
        return False
    before = tokens.at(index - 1)
    if token.value != "*":
        return True
    if before.written == "(" and tokens.at(index - 2).value == "count":
        return False
    exists = before.value == "select" and tokens.at(index - 3).value == "exists"
    return not exists and (before.value in {"select", ",", "."} or before.written == ".")
