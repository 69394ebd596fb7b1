"""The shortest loop by hand that keeps a batch's promise: addresses read once, then changed in batches, each committed.

It has no plan, no ledger, no lease and no proof, and cannot be resumed: a tool that has them can hardly be faster.
"""

import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from tests.benchmarks.databases import Database
from tests.benchmarks.shapes.shape import Shape
from tests.benchmarks.sides import Timing


def by_hand(database: Database, shape: Shape, batches: int) -> Timing:
    """Change the rows of the shape in so many batches."""
    # What reads its own table means something else once rows are gone: as it is listed once, it is not repeated.
    again = "1 = 1" if "FROM events" in shape.where else shape.where
    verb = f"UPDATE events SET {shape.set}" if shape.set else "DELETE FROM events"
    address = _address(database, shape)
    with closing(database.connect()) as connection, closing(connection.cursor()) as cursor:
        start = time.perf_counter()
        cursor.execute(f"SELECT {address} FROM events WHERE {shape.where}")
        found = sorted(cursor.fetchall())
        size = max(1, -(-len(found) // batches))
        for first in range(0, len(found), size):
            among = _among(database, address, found[first : first + size])
            cursor.execute(f"{verb} WHERE {among} AND ({again})")
            connection.commit()
        return Timing(time.perf_counter() - start, max(1, len(found)), f"{batches} batches")


def _address(database: Database, shape: Shape) -> str:
    """Backfills of these shapes change a row once, so that a ctid serves there too."""
    if database.name == "postgresql":
        return "ctid"
    return "tenant, id" if any("(tenant, id)" in made for made in shape.made) else "id"


def _among(database: Database, address: str, found: Sequence[tuple[Any, ...]]) -> str:
    if database.name == "postgresql":
        tids = ",".join(f'"{row[0]}"' for row in found)
        return f"ctid = ANY ('{{{tids}}}'::tid[])"
    rows = ",".join(f"({','.join(map(str, row))})" for row in found)
    values = f"VALUES {rows}" if database.name == "sqlite" and "," in address else rows
    return f"({address}) IN ({values})"
