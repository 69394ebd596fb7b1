"""The names of the files in a destination."""

from urllib.parse import quote

from batchops.archive.formats import SegmentFormat

MARKER = "batchops-archive.json"
MANIFESTS = "manifests/"
STAGING = "staging/"
"""The folder of a destination on this machine for files that have no place yet."""
NULLED = "nulled/"
"""The folder for former values of rows that stayed. So the files of a table itself hold whole rows only."""


def segment_name(table: str, run: int, number: int, format: SegmentFormat, token: str = "") -> str:
    """Return the name of a run's segment; `table` is a label. A `token` keeps two processes from using one name."""
    mark = f"-{token}" if token else ""
    return f"{table_folder(table)}/run-{run:06}/{number:06}{mark}.{format.ending}"


def record_name(segment: str) -> str:
    """Return the name of a segment's record."""
    return f"{segment}.json"


def deleted_name(segment: str) -> str:
    """Return the name of the file that records which rows of a segment were deleted."""
    return f"{segment}.deleted.json"


def segment_of(record: str) -> str:
    """Return the name of the segment that a record belongs to."""
    return record.removesuffix(".json")


def manifest_name(number: int) -> str:
    """Return the name of a manifest."""
    return f"{MANIFESTS}{number:08}.json"


def manifest_number(name: str) -> int | None:
    """Return the number of the manifest of that name; None for any other file, such as a copy beside a manifest."""
    number = name.removeprefix(MANIFESTS).removesuffix(".json")
    return int(number) if number.isdecimal() and name == manifest_name(int(number)) else None


def table_folder(table: str) -> str:
    """Return the name of the folder for a table's label."""
    name = quote(table, safe=" ")
    return f"%2E{name[1:]}" if name.startswith(".") else name
