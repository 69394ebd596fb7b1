"""Which rows of an archive a query leaves out, since nothing says yet that they are archived."""

from collections import Counter
from collections.abc import Iterator

from batchops.archive.contents import Contents
from batchops.archive.destination import Destination, FolderDestination
from batchops.archive.spool import frames, read_header
from batchops.errors import IntegrityError


def left_out(destination: Destination, inside: Contents, run: int | None = None) -> Iterator[str]:
    """Yield a sentence for each pruned run, for the rows of each run that are not sealed, and of undecided segments."""
    yield from map(str, inside.pruned_runs(run))
    for of_run, rows in sorted(unsealed_rows(destination, inside).items()):
        if rows and run in (None, of_run):
            how = "the same archive command seals them"
            yield f"up to {rows:,} rows of run {of_run} are not sealed yet, and left out: {how}"
    for one in inside.undecided:
        if run in (None, one.run) and not one.table.nulled:
            yield (
                f"{one.rows:,} rows in {one.listed.name} are left out: nothing says yet which of them were deleted; "
                "the same archive command decides it"
            )


def unsealed_rows(destination: Destination, inside: Contents) -> Counter[int]:
    """Return how many rows the spools of each run have, at most: the last ones may be of a batch in progress."""
    found: Counter[int] = Counter()
    if not isinstance(destination, FolderDestination):  # a bucket has none
        return found
    for name in inside.unsealed:
        path = destination.root / name
        try:
            if not read_header(path).get("nulled"):
                found[_run_of(name)] += sum(frame.digest.rows for frame in frames(path))
        except (FileNotFoundError, IntegrityError):  # it was sealed meanwhile, or its writer has just begun it
            continue
    return found


def _run_of(name: str) -> int:
    number = name.rpartition("/")[2].partition("-")[0]
    return int(number) if number.isdecimal() else 0
