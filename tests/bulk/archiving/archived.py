"""What an archive holds, read from its files and, where rows were never sealed, from its spools."""

from collections import Counter
from pathlib import Path

from batchops.archive.destination import FolderDestination
from batchops.archive.formats import format_of_name
from batchops.archive.layout import record_name
from batchops.archive.records import Sidecar
from batchops.archive.segments import read_segment
from batchops.db.exact_text import fields_of


def rows_in(folder: Path, column: str = "id") -> Counter[str]:
    """One column of all archived rows, as text, and how often each is there."""
    found: Counter[str] = Counter()
    destination = FolderDestination(folder)
    for name in destination.names():
        format = format_of_name(name)
        if format is None or name.startswith("staging/"):
            continue
        sidecar = Sidecar.loaded(destination.read(record_name(name)))
        place = [one.name for one in sidecar.table.columns].index(column)
        with destination.open(name) as file:
            for block in read_segment(file, sidecar.table.columns, format):
                found.update((fields_of(line)[place] or b"NULL").decode() for line in block)
    return found


def lines_in(folder: Path) -> list[bytes]:
    """The canonical lines of all archived rows, sorted."""
    names = [name for name in FolderDestination(folder).names() if format_of_name(name) is not None]
    return sorted(line for name in names for line in lines_of(folder, name))


def lines_of(folder: Path, name: str) -> list[bytes]:
    """The canonical lines of one segment."""
    destination, format = FolderDestination(folder), format_of_name(name)
    assert format is not None
    sidecar = Sidecar.loaded(destination.read(record_name(name)))
    with destination.open(name) as file:
        return [line for block in read_segment(file, sidecar.table.columns, format) for line in block]


def spools_in(folder: Path) -> list[str]:
    """Spools that are still there."""
    return sorted(path.name for path in (folder / "spools").glob("*.spool"))


def texts_in(folder: Path, *, nulled: bool = False) -> dict[str, list[dict[str, str | None]]]:
    """All archived rows by table, each value as its text; or instead values of rows that stayed."""
    destination, found = FolderDestination(folder), dict[str, list[dict[str, str | None]]]()
    for name in destination.names():
        if (format := format_of_name(name)) is None or name.startswith("staging/"):
            continue
        sidecar = Sidecar.loaded(destination.read(record_name(name)))
        columns = [one.name for one in sidecar.table.columns]
        if bool(sidecar.table.nulled) != nulled:
            continue
        with destination.open(name) as file:
            lines = [line for block in read_segment(file, sidecar.table.columns, format) for line in block]
        for line in lines:
            values = (None if value is None else value.decode() for value in fields_of(line))
            found.setdefault(sidecar.table.label, []).append(dict(zip(columns, values, strict=True)))
    return found
