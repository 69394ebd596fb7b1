"""Opens the file of a segment, once its content is proved to be what its record says."""

from typing import BinaryIO

from batchops.archive.contents import FoundSegment
from batchops.archive.destination import Destination
from batchops.archive.segments import sha256_of
from batchops.errors import IntegrityError, NotFoundError


def open_proved(destination: Destination, segment: FoundSegment) -> BinaryIO:
    """Open the file at its beginning; raise IntegrityError if it is missing or has another SHA-256."""
    name, see = segment.listed.name, f"see `batchops archive verify {destination.shown}`."
    try:
        file = destination.open(name)
    except NotFoundError as error:
        raise IntegrityError(f"{name} is missing, with {segment.listed.record.rows:,} archived rows.", see) from error
    if sha256_of(file) != segment.listed.record.sha256:
        file.close()
        raise IntegrityError(f"{name} is not the file that was archived: its SHA-256 is another.", see)
    file.seek(0)
    return file
