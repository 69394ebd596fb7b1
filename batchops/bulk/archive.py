"""The verb archive: deletes rows once they are durable elsewhere; with --keep it only copies them."""

from dataclasses import replace
from typing import Any

from batchops.bulk.archiving.plan import rows_out
from batchops.bulk.archiving.spec import ArchiveSpec
from batchops.bulk.operations.copy import Copy
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
    removed="archive",
    operation=lambda _, __: Delete(),
    rows_out=rows_out,
    prepare=lambda spec, *given, **named: prepare_bulk(_of(spec), spec, *given, **named),
)
KEEPING: BulkVerb = replace(
    VERB,
    question="Copy {rows} of {table}, and keep them there,",
    participle="copied",
    undo="nothing is deleted",
    right="SELECT",
    removes=False,
    operation=lambda _, __: Copy(),
)
"""The verb archive with --keep."""


def _of(spec: Any) -> BulkVerb:
    return KEEPING if spec.keep else VERB
