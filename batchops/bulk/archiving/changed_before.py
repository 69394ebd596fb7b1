"""Refuses an archive whose own deletes change or delete rows before these are archived."""

from collections.abc import Collection, Iterator

from batchops.bulk.plan.analysis import QUICK
from batchops.bulk.plan.chains import links, rows
from batchops.bulk.plan.own_reads import JobReads
from batchops.bulk.rows_out import Preparing
from batchops.runtime.refusal import Refusal

_WITHOUT = "; or leave the columns out with --columns"


def changed_before(preparing: Preparing, archived: Collection[str]) -> Iterator[Refusal]:
    """Yield a refusal for each foreign key by which a batch may change or delete rows of later batches."""
    found, table = preparing.found, preparing.found.table
    if not preparing.verb.removes or found.graph is not None:
        return
    job = JobReads(
        preparing.connection, preparing.database, preparing.verb.right, table, found.facts, preparing.route.pinned
    )
    count_within = preparing.database.backend.facts.count_within
    for link in links(job):
        reference = link.reference
        own = (reference.child.schema, reference.child.name) == (table.schema, table.name)
        kept = not {*archived}.intersection(reference.columns)
        if not own or not link.changes or (kept and not link.deletes):
            continue
        both = rows(job, link).where(job.selection.clause)
        if count_within(preparing.connection, both, QUICK) == 0:
            continue
        names = ", ".join(reference.columns)
        lost, or_else = "a row archived after the one that it refers to would not have their values", _WITHOUT
        if link.deletes:
            lost, or_else = "a row that is deleted with the one that it refers to would not be archived", ""
        yield Refusal(
            "inexact",
            f'Rows of "{table.label}" refer to others of them by {names} (ON DELETE {link.action}): {lost}.',
            f"archive to a folder or a bucket with --with-children, which keeps them{or_else}.",
        )
