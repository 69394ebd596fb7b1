"""The handler of `--set`: the statement that marks the rows does the work."""

from collections.abc import Callable, Collection, Sequence

import sqlalchemy as sa

from batchops.queue.handlers import Result, Values
from batchops.runtime.stop import Stop


class SqlHandler:
    """Reports every row as done: the statement that marks the rows does the work."""

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

    def open(self, key: Sequence[str], documents: Collection[str], warn: Callable[[str], None]) -> None:
        """Do nothing: this handler needs none of these."""

    def close(self) -> None:
        """Do nothing: there is nothing to close."""
