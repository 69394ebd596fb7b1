"""Rows that go into a bucket with all rows that refer to them: what copies, uploads and deletes them."""

from typing import TYPE_CHECKING

from batchops.bulk.archiving.family_copies import CopyExecution, FamilyCopy
from batchops.bulk.archiving.proven_families import ProvenExecution
from batchops.bulk.archiving.uploaded_families import UploadedFamilies
from batchops.bulk.archiving.uploads import Uploads
from batchops.bulk.execution import Execution
from batchops.bulk.operations import Operation
from batchops.bulk.strategies.strategy import Strategy
from batchops.db.database import Database
from batchops.ledger.ledger import Ledger
from batchops.ledger.run import Worker

if TYPE_CHECKING:  # it imports this module
    from batchops.bulk.archiving.to_bucket import BucketArchive


class WholeFamilies:
    """Makes what archives rows of several tables, family by family."""

    def __init__(
        self, archive: "BucketArchive", uploads: Uploads, ledger: Ledger, database: Database
    ) -> None:  # fmt: skip
        self._archive, self._uploads, self._ledger, self._database = archive, uploads, ledger, database
        self._strategy: UploadedFamilies | None = None

    def found_by(self, strategy: Strategy) -> Strategy:
        """Return a strategy whose batches are families that are in the bucket; `strategy` finds their parents."""
        own = self._archive
        self.close()
        self._strategy = UploadedFamilies(
            strategy, self._uploads, self._database.backend, own.tables[0].table, own.followed, own.segment_size,
            own.most_rows,
        )  # fmt: skip
        return self._strategy

    def execution(self, operation: Operation) -> Execution:
        """Return the execution of one worker, which copies families too."""
        own, database, strategy, children = self._archive, self._database, self._strategy, self._archive.children
        lines = database.backend.row_lines
        assert strategy is not None  # its batches are executed
        assert children is not None  # they make the families
        copies = CopyExecution(database, lines, own.tables, own.segment_format, self._uploads, operation)
        nobody = Worker(self._uploads.run, 0, "", "")
        copy = FamilyCopy(database, strategy.inner, copies, self._ledger, nobody, children)
        return ProvenExecution(database, lines, own.tables, self._ledger, operation, strategy, copy)

    def close(self) -> None:
        """Close the files of families that are not uploaded."""
        if self._strategy is not None:
            self._strategy.close()
