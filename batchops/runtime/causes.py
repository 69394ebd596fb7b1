"""Why rows, events or attempts failed: counted by reason, and as text for people."""

import threading
from collections.abc import Sequence

from batchops.finished_details import Cause

KEPT = 20
"""Different reasons that are kept; a handler may give each row one of its own."""
NAMES = 3
"""Rows or events that are named with each."""
SHOWN = 3
"""Reasons that fit into one line."""


class Causes:
    """Counts failures by their reasons: the first reasons only, each with the first names."""

    def __init__(self) -> None:
        self._causes: dict[str, Cause] = {}
        self._guard = threading.Lock()

    def add(self, reason: str, names: Sequence[str]) -> None:
        """It failed for this reason, at the rows or events of these names."""
        with self._guard:
            known = self._causes.get(reason)
            if known is None and len(self._causes) >= KEPT:
                return
            before = known or Cause(reason, 0)
            kept = tuple(dict.fromkeys((*before.names, *names[:NAMES])))[:NAMES]
            self._causes[reason] = Cause(reason, before.attempts + len(names), kept)

    def counted(self) -> tuple[Cause, ...]:
        """The reasons, the commonest first."""
        with self._guard:
            return tuple(sorted(self._causes.values(), key=lambda cause: -cause.attempts))


def shown_causes(causes: Sequence[Cause]) -> str:
    """The first reasons in one line, with counts that neither the names nor the text before the line tell."""
    alone, more = len(causes) == 1, len(causes) - SHOWN
    said = [shown_cause(one) if alone or one.attempts == 1 else counted_cause(one) for one in causes[:SHOWN]]
    return "; ".join(said) + (f"; and {more} more reason{'s' if more > 1 else ''}" if more > 0 else "")


def counted_cause(cause: Cause) -> str:
    """A reason, how many rows or attempts failed for it, and the first of them."""
    return f"{cause.attempts:,} × {shown_cause(cause)}"


def shown_cause(cause: Cause) -> str:
    """A reason, and the first rows or events that failed for it."""
    more = " …" if cause.attempts > len(cause.names) >= NAMES else ""
    return f"{cause.reason.rstrip('.')} ({', '.join(cause.names)}{more})"
