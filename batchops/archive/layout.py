"""What files in a destination are called."""

from urllib.parse import quote

from batchops.archive.formats import SegmentFormat

MARKER = "batchops-archive.json"
MANIFESTS = "manifests/"
NULLED = "nulled/"
"""Values of rows that stayed: whoever reads the files of a table finds whole rows in them."""


def segment_name(table: str, run: int, number: int, format: SegmentFormat, token: str = "") -> str:
    """The name of a run's segment; `table`: its label. `token`: so that no two processes ever mean the same file."""
    mark = f"-{token}" if token else ""
    return f"{table_folder(table)}/run-{run:06}/{number:06}{mark}.{format.ending}"


def record_name(segment: str) -> str:
    """The name of a segment's record."""
    return f"{segment}.json"


def deleted_name(segment: str) -> str:
    """The name of the file that says which rows of a segment were deleted."""
    return f"{segment}.deleted.json"


def segment_of(record: str) -> str:
    """`record_name` the other way round."""
    return record.removesuffix(".json")


def manifest_name(number: int) -> str:
    """The name of a manifest."""
    return f"{MANIFESTS}{number:08}.json"


def table_folder(table: str) -> str:
    """A folder's name for any table's label."""
    name = quote(table, safe=" ")
    return f"%2E{name[1:]}" if name.startswith(".") else name
