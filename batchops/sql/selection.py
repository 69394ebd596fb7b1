"""Which rows: a table and a condition, checked and pinned."""

import re
from dataclasses import dataclass, replace

import sqlalchemy as sa

from batchops.db.table import Table


def user_sql(text: str) -> sa.TextClause:
    """The user's own SQL as it was written: a colon in it (a cast, a time, JSON) never makes a parameter."""
    return sa.text(text.replace(":", "\\:"))


@dataclass(frozen=True)
class Selection:
    """The rows of `table` for which `condition` holds; None: all of them."""

    table: Table
    condition: str | None
    """With every time function replaced by the time the run began."""
    shield: str = ""
    """Put before the condition where the server would otherwise use an index for it instead of the strategy's."""

    @property
    def proven(self) -> sa.ColumnElement[bool] | None:
        """What holds for rows of a list that are unchanged since; None where rows are not listed."""
        return None

    @property
    def has_subselect(self) -> bool:
        """Whether the condition may read other rows than the one that it is about."""
        return re.search(r"\bselect\b", self.condition or "", re.IGNORECASE) is not None

    @property
    def clause(self) -> sa.ColumnElement[bool] | sa.TextClause:
        """For the selecting and, again, for the writing statement; in brackets, so that an OR in it stays in it."""
        return sa.true() if self.condition is None else user_sql(f"{self.shield}({self.condition})")

    @property
    def unshielded(self) -> sa.ColumnElement[bool] | sa.TextClause:
        """For a statement that finds the rows by whatever index the server chooses."""
        return replace(self, shield="").clause
