"""The verb archive: deletes rows that are durable elsewhere before."""

from batchops.bulk.archiving.plan import rows_out
from batchops.bulk.archiving.spec import ArchiveSpec
from batchops.bulk.operations.delete import Delete
from batchops.bulk.prepare import prepare_bulk
from batchops.bulk.verb import BulkVerb

VERB: BulkVerb = BulkVerb(
    name="archive",
    spec=ArchiveSpec,
    help="Move the matching rows of TABLE to files or to another table, in small transactions.\n\nEach row is durable "
    "at its destination before its deletion commits. batchops shows the plan and asks first. The same command "
    "continues an earlier run that stopped. `batchops help archive` explains more.",
    question="Archive {rows} of {table}, and delete them from it,",
    participle="archived",
    undo="rows leave the table batch by batch; the archive has them",
    asks=True,
    right="DELETE",
    removes=True,
    operation=lambda _, __: Delete(),
    rows_out=rows_out,
    prepare=lambda *given, **named: prepare_bulk(VERB, *given, **named),
)
