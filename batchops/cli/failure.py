"""An error as its reader wants it: the document with --json, a line and a hint otherwise."""

import sys
from collections.abc import Sequence

from batchops import __version__
from batchops.errors import BatchopsError
from batchops.events import Failure, Finished
from batchops.reporters.document import Document
from batchops.reporters.streams import Lasting
from batchops.reporters.summary import error_lines

VERBS = ("purge", "backfill", "drain")


def tell(words: Sequence[str], error: BatchopsError, reason: str, code: int) -> None:
    """Say it; `words` are the command line's, as what stood there may not have been understood."""
    failure = Failure(reason, error.message, error.hint)
    if "--json" in words:
        verb = next((word for word in words if word in VERBS), "")
        rest = [word for word in words[words.index(verb) + 1 :] if not word.startswith("-")] if verb else []
        table = rest[0] if rest else ""
        Document(sys.stdout)(
            Finished(verb=verb, table=table, reason=reason, exit=code, version=__version__, error=failure)
        )
        return
    out = Lasting(sys.stderr)
    for line in error_lines(failure):
        out.line(line)
