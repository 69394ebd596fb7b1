"""The verb purge: deletes rows."""

from batchops.bulk.operations.delete import Delete
from batchops.bulk.prepare import prepare_bulk
from batchops.bulk.spec import PurgeSpec
from batchops.bulk.verb import BulkVerb

VERB: BulkVerb = BulkVerb(
    name="purge",
    spec=PurgeSpec,
    help="Delete the matching rows of TABLE in small transactions.\n\nbatchops shows the plan and asks first. The "
    "same command continues an earlier run that stopped.",
    question="Delete {rows} from {table}",
    participle="deleted",
    undo="deleted rows are gone batch by batch: only a backup has them",
    asks=True,
    right="DELETE",
    removes=True,
    operation=lambda _, __: Delete(),
    prepare=lambda *given, **named: prepare_bulk(VERB, *given, **named),
)
