"""`--set`: the work is done by the statement that marks the rows."""

from collections.abc import Sequence

import sqlalchemy as sa

from batchops.handlers import Result, Stopping, Values


class InSql:
    """Nothing is left to do once the rows are marked."""

    inside = True
    deadly = False

    def __call__(
        self,
        rows: Sequence[Values],
        connection: sa.Connection | None,  # noqa: ARG002  the protocol's shape
        stopping: Stopping,  # noqa: ARG002
    ) -> Sequence[Result]:
        return [None] * len(rows)

    def close(self) -> None:
        """There is nothing to close."""
