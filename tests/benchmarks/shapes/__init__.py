"""Conditions as people write them: each purge beside its own single statement, on a copy of the same table."""

import os
import re
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from statistics import median
from typing import Any, Protocol

from tests.benchmarks import printing, tool
from tests.benchmarks.databases import Database
from tests.benchmarks.databases.mariadb import MariaDB
from tests.benchmarks.flat import snapshot_held
from tests.benchmarks.shapes.by_hand import by_hand
from tests.benchmarks.shapes.shape import Shape
from tests.benchmarks.sides import Side, SideFailedError, Timing, compare, say
from tests.benchmarks.speed import pt_archiver, statement


class Shaped(Database, Protocol):
    """A database whose table `events` takes the indexes and neighbours of one shape after the other."""

    shapes: Sequence[Shape]

    def base(self, rows: int) -> None:
        """Make the table that every shape begins with."""

    def shape(self, shape: Shape) -> None:
        """Make the template of one shape: the table with its indexes, and the other tables that it reads."""


Opened = Callable[[], AbstractContextManager[Shaped]]


def measure(opened: Opened, wanted: Namespace) -> bool:
    """Print a line for each shape; False if a side failed."""
    with opened() as database:
        rows = wanted.rows or database.rows
        say(f"shapes: filling {rows:,} rows")
        database.base(rows)
        chosen = [shape for shape in database.shapes if re.search(wanted.shape, shape.name)]
        pace = f"batches of {wanted.batch_size:,}" if wanted.archiver else "default pace"
        held = ", an old snapshot held open" if wanted.held else ""
        printing.heading(f"shapes: {database.version()}, {rows:,} rows, {pace}{held}")
        lines = [_measured(database, shape, wanted) for shape in chosen]
    columns = ("shape", "rows", _beside(wanted), "batchops", "ratio", "min–max", "load", "")
    printing.table(columns, [line for line, _ in lines])
    ratios = [ratio for _, ratio in lines if ratio is not None]
    if ratios:
        print(f"median {median(ratios):.2f}, worst {min(ratios):.2f}, of {len(ratios)} of {len(lines)} shapes\n")
    return len(ratios) == len(lines)


def _measured(database: Shaped, shape: Shape, wanted: Namespace) -> tuple[tuple[str, ...], float | None]:
    """A line of the table, and the median ratio; None where a side failed."""
    say(shape.name)
    database.shape(shape)
    one = Side(_beside(wanted), lambda: _reference(database, shape, wanted))
    load = os.getloadavg()[0]
    reference, ours = compare(
        one, [Side(shape.name, lambda: _ours(database, shape, wanted))], database.renew, wanted.pairs
    )
    if ours.failure or not ours.timings:
        return (shape.name, "", "", "", "", "", f"{load:.1f}", ours.failure[:110]), None
    ratios = [f"{ratio:.2f}" for ratio in (ours.ratio(), min(ours.ratios), max(ours.ratios))]
    figures = (f"{ours.timings[0].rows:,}", f"{reference.seconds():.2f} s", f"{ours.seconds():.2f} s")
    note = ours.timings[-1].note
    if wanted.by_hand:
        batches = int(note.split()[0])
        hand = Side("by hand", lambda: by_hand(database, shape, batches))
        note += f", by hand {compare(one, [hand], database.renew, wanted.pairs)[1].ratio():.2f}"
    say(f"{shape.name}: {ratios[0]} ({note})")
    return (shape.name, *figures, ratios[0], "–".join(ratios[1:]), f"{load:.1f}", note), ours.ratio()


def _beside(wanted: Namespace) -> str:
    return "pt-archiver" if wanted.archiver else "one statement"


def _reference(database: Shaped, shape: Shape, wanted: Namespace) -> Timing:
    if wanted.archiver:
        if shape.set or not isinstance(database, MariaDB):
            raise SideFailedError("pt-archiver only deletes, and only on MariaDB")
        return pt_archiver(database, wanted.batch_size, shape.where)
    matching = _count(database, shape.where)
    with snapshot_held(database) if wanted.held else nullcontext():
        return Timing(statement(database, shape.beside or shape.statement).seconds, max(1, matching))


def _ours(database: Shaped, shape: Shape, wanted: Namespace) -> Timing:
    """The tool with the default pace, checked to have done all of it and no more."""
    before, matching = (_count(database, where) for where in ("1 = 1", shape.where))
    options = [*wanted.options, *(["--batch-size", str(wanted.batch_size)] if wanted.archiver else [])]
    with snapshot_held(database) if wanted.held else nullcontext():
        done = tool.ran(*shape.command(database.url), *options, exits=(0,))
    rows = done.document["rows"]
    gone = before - _count(database, "1 = 1")
    left = _count(database, shape.left)
    if rows != matching or left or gone != (0 if shape.set else matching):
        raise SideFailedError(f"{matching:,} rows match, {rows:,} changed, {gone:,} gone, {left:,} left")
    note = f"{done.document['batches']} batches, {done.document['strategy']}"
    return Timing(done.document["seconds"], max(1, rows), note)


def _count(database: Shaped, where: str) -> int:
    with closing(database.connect()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(f"SELECT count(*) FROM events WHERE {where}")
        row: Any = cursor.fetchone()
        return int(row[0])
