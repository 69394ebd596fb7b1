"""`--set`: the work is done by the statement that marks the rows."""

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from batchops.queue.handlers import Result, Values
from batchops.runtime.stop import Stop


class SqlHandler:
    """Nothing is left to do once the rows are marked."""

    in_transaction = True
    can_crash = False
    isolate_failed = False

    def __call__(
        self,
        rows: Sequence[Values],
        connection: sa.Connection | None,  # noqa: ARG002  the protocol's shape
        stop: Stop,  # noqa: ARG002
    ) -> Sequence[Result]:
        return [None] * len(rows)

    def open(self, key: Sequence[str], warn: Callable[[str], None]) -> None:
        """It needs neither."""

    def close(self) -> None:
        """There is nothing to close."""
