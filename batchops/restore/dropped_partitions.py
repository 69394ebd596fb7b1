"""Finds the partitions that an archive has dropped with their rows, and that a table needs again to take these."""

from collections.abc import Iterator

import sqlalchemy as sa

from batchops.archive.contents import Contents
from batchops.archive.manifest import PARTITIONS
from batchops.db.database import Database
from batchops.db.table import label_of
from batchops.reporters.figures import counted
from batchops.restore.found import Found

MOST_NAMED = 20
"""How many partitions get a warning of their own."""


def partition_warnings(
    connection: sa.Connection, database: Database, found: Found, inside: Contents
) -> Iterator[str]:  # fmt: skip
    """Yield a warning, with the statement that creates it, for each partition that the table lacks now."""
    partitions = database.backend.partitions
    if partitions is None or found.table is None or found.table.kind != "partitioned" or found.into != found.label:
        return
    runs = {one.run for one in found.segments}
    lost = {}
    for manifest in (one.manifest for one in inside.manifests if one.manifest.run in runs):
        for one in manifest.about.get(PARTITIONS, ()):
            if partitions.lacks(connection, one["parent_schema"], one["parent"], one["bound"]):
                lost[one["parent_schema"], one["parent"], one["bound"]] = one
    for one in [*lost.values()][:MOST_NAMED]:
        parent, own = label_of(one["parent_schema"], one["parent"]), label_of(one["schema"], one["name"])
        yield (
            f"{parent} has no partition such as {own}, which was dropped with {counted(one['rows'], 'row')}: unless "
            f"another one takes them, they are refused. CREATE TABLE {own} PARTITION OF {parent} {one['bound']};"
        )
    if len(lost) > MOST_NAMED:
        yield f"{len(lost) - MOST_NAMED:,} more dropped partitions are missing; the manifests have their bounds."
