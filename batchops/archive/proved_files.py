"""Opens the file of a segment, once its content is proved to be what its record says."""

from typing import BinaryIO

from batchops.archive.chain import read_chain
from batchops.archive.contents import FoundSegment
from batchops.archive.destination import Destination
from batchops.archive.pruning import FoundPruned, PrunedSegment
from batchops.archive.segments import sha256_of
from batchops.errors import IntegrityError, NotFoundError


def pruned_since(destination: Destination, segment: FoundSegment) -> FoundPruned | None:
    """Return what says that the segment was pruned, maybe after the archive was listed; None if nothing says so."""
    pruned = read_chain(destination, destination.names()).pruned
    own = PrunedSegment(segment.listed.name, segment.listed.sidecar_sha256)
    return next((one for one in pruned if own in one.run.segments), None)


def open_proved(destination: Destination, segment: FoundSegment) -> BinaryIO:
    """Open the file at its beginning; raise IntegrityError if it is missing or has another SHA-256."""
    name, see = segment.listed.name, f"see `batchops archive verify {destination.shown}`."
    try:
        file = destination.open(name)
    except NotFoundError as error:
        if (gone := pruned_since(destination, segment)) is not None:
            raise IntegrityError(f"{name} was removed meanwhile: {gone}.", "run the same command again.") from error
        raise IntegrityError(f"{name} is missing, with {segment.listed.record.rows:,} archived rows.", see) from error
    if sha256_of(file) != segment.listed.record.sha256:
        file.close()
        raise IntegrityError(f"{name} is not the file that was archived: its SHA-256 is another.", see)
    file.seek(0)
    return file
