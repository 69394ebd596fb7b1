"""batchops changed on purpose: `python -m tests.crash.variants NAME ARGUMENTS…`.

The tests here must notice the two that are wrong; a third, which does not repeat the condition, stands with the races.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from batchops.bulk.step import BulkStep
from batchops.cli.app import main
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import Worker
from batchops.runtime.outcome import Outcome
from tests.command import Batchops


def apart() -> None:
    """The cursor is committed apart from the work."""

    def note(step: BulkStep, connection: sa.Connection, after: Worker, passed_by: object) -> None:
        pass

    def recorded(step: BulkStep, after: Worker) -> Outcome:
        step._in_doubt = after
        with step._ledger.database.transaction() as connection:
            step._ledger.advance(connection, step.worker, after)
        return step._accept(after)

    BulkStep._note = note  # type: ignore[method-assign]  # that is the point
    BulkStep._recorded = recorded  # type: ignore[method-assign]


def unfenced() -> None:
    """The fence is not checked."""

    def advance(ledger: Ledger, connection: sa.Connection, old: Worker, new: Worker) -> None:
        update = ledger.workers.update().where(ledger.workers.c.run == old.run, ledger.workers.c.worker == old.number)
        connection.execute(update.values(cursor=new.cursor, batches=new.batches, rows_changed=new.rows))

    Ledger.advance = advance  # type: ignore[method-assign]


VARIANTS: dict[str, Callable[[], None]] = {"apart": apart, "unfenced": unfenced}


class Variant(Batchops):
    """The command line of a variant."""

    def __init__(self, home: Path, name: str) -> None:
        super().__init__(home)
        self._name = name

    def argv(self, *args: str | Path) -> list[str]:
        return [sys.executable, "-m", "tests.crash.variants", self._name, *map(str, args)]


if __name__ == "__main__":
    VARIANTS[sys.argv.pop(1)]()
    main(sys.argv[1:])
