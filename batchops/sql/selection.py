"""The rows of a job: a table and a condition, checked and with its time functions pinned."""

import re
from dataclasses import dataclass, replace

import sqlalchemy as sa

from batchops.db.table import Table


def user_sql(text: str) -> sa.TextClause:
    """Return the user's SQL as it was written: a colon in it (of a cast, a time, JSON) never becomes a parameter."""
    return sa.text(text.replace(":", "\\:"))


@dataclass(frozen=True)
class Selection:
    """The rows of `table` for which `condition` holds; all rows if it is None."""

    table: Table
    condition: str | None
    """The condition, with every time function replaced by the time at which the run began."""
    shield: str = ""
    """The prefix of the condition that keeps the server from using an index for it instead of the strategy's index."""

    @property
    def proven(self) -> sa.ColumnElement[bool] | None:
        """The condition that listed rows are unchanged since they were listed; None where rows are not listed."""
        return None

    @property
    def has_subselect(self) -> bool:
        """Whether the condition may read other rows than the one that it is checked for."""
        return re.search(r"\bselect\b", self.condition or "", re.IGNORECASE) is not None

    @property
    def clause(self) -> sa.ColumnElement[bool] | sa.TextClause:
        """The condition for the selecting and the writing statement, in parentheses so that an OR stays inside."""
        return sa.true() if self.condition is None else user_sql(f"{self.shield}({self.condition})")

    @property
    def unshielded(self) -> sa.ColumnElement[bool] | sa.TextClause:
        """The condition for a statement that finds the rows by any index that the server chooses."""
        return replace(self, shield="").clause
