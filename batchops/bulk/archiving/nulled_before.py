"""Refuses an archive whose own deletes set references of rows to NULL before these rows are archived."""

from collections.abc import Collection, Iterator

from batchops.bulk.plan.analysis import QUICK
from batchops.bulk.plan.chains import links, rows
from batchops.bulk.plan.own_reads import JobReads
from batchops.bulk.rows_out import Preparing
from batchops.db.facts import SET_DEFAULT, SET_NULL
from batchops.runtime.refusal import Refusal


def nulled_before(preparing: Preparing, archived: Collection[str]) -> Iterator[Refusal]:
    """Yield a refusal for each foreign key by which a batch may change rows of later batches."""
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
        if not own or link.action not in (SET_NULL, SET_DEFAULT) or not {*archived}.intersection(reference.columns):
            continue
        both = rows(job, link).where(job.selection.clause)
        if count_within(preparing.connection, both, QUICK) == 0:
            continue
        names = ", ".join(reference.columns)
        yield Refusal(
            "inexact",
            f'Rows of "{table.label}" refer to others of them by {names} (ON DELETE {link.action}): a row archived '
            "after the one that it refers to would not have their values.",
            "archive to a folder with --with-children, which keeps them; or leave the columns out with --columns.",
        )
