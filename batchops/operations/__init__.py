"""What is done to the rows of a part."""

from typing import Protocol

import sqlalchemy as sa


class Operation(Protocol):
    """One writing statement for a part's rows; its row count is what it changed."""

    def statement(self, where: sa.ColumnElement[bool]) -> sa.Delete | sa.Update: ...
