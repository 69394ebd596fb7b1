"""Which rows: a table and a predicate, checked and frozen."""

from dataclasses import dataclass

import sqlalchemy as sa

from batchops.db.table import Table


def user_sql(text: str) -> sa.TextClause:
    """The user's own SQL as it was written: a colon in it (a cast, a time, JSON) never makes a parameter."""
    return sa.text(text.replace(":", "\\:"))


@dataclass(frozen=True)
class Selection:
    """The rows of `table` for which `predicate` holds; None: all of them."""

    table: Table
    predicate: str | None
    """With every clock word replaced by the moment the run began."""
    shield: str = ""
    """Put before the predicate where the server would otherwise follow it by an index instead of the walk's."""

    @property
    def clause(self) -> sa.ColumnElement[bool] | sa.TextClause:
        """For the selecting and, again, for the writing statement; in brackets, so that an OR in it stays in it."""
        return sa.true() if self.predicate is None else user_sql(f"{self.shield}({self.predicate})")
