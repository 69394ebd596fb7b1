"""The verb backfill: updates rows, each at most once."""

from batchops.bulk.operations.update import Update
from batchops.bulk.prepare import prepare_bulk
from batchops.bulk.spec import BackfillSpec
from batchops.bulk.verb import BulkVerb

VERB: BulkVerb = BulkVerb(
    name="backfill",
    spec=BackfillSpec,
    help="Update the matching rows of TABLE in small transactions, each row at most once.\n\nbatchops shows the "
    "plan and asks first. The same command continues an earlier run that stopped.",
    question="Update {rows} in {table}",
    participle="updated",
    undo="the old values are overwritten batch by batch: only a backup has them",
    asks=True,
    right="UPDATE",
    removes=False,
    operation=Update,
    prepare=lambda *given, **named: prepare_bulk(VERB, *given, **named),
)
