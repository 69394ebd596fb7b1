"""What is done to the rows of a part."""

from typing import Any, Protocol

import sqlalchemy as sa


class Operation(Protocol):
    """One writing statement for a part's rows; its row count is what it changed."""

    def statement(self, where: sa.ColumnElement[bool]) -> sa.Delete | sa.Update:
        """The writing statement."""

    def rehearsal(self, where: sa.ColumnElement[bool]) -> sa.Select[Any]:
        """A SELECT of the same rows and expressions, for a server that explains no writing."""
