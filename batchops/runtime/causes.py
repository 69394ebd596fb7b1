"""Causes: counts why rows, events or attempts failed, and shows the reasons as text for people."""

import threading
from collections.abc import Sequence

from batchops.finished_details import Cause

KEPT = 20
"""How many different reasons are kept: a handler may give each row a reason of its own."""
NAMES = 3
"""How many rows or events are named with each reason."""
SHOWN = 3
"""How many reasons fit into one line."""


class Causes:
    """Counts failures by reason; keeps the first KEPT reasons, and the first NAMES names of each."""

    def __init__(self) -> None:
        self._causes: dict[str, Cause] = {}
        self._guard = threading.Lock()

    def add(self, reason: str, names: Sequence[str]) -> None:
        """Count a failure of the rows or events of these names for this reason."""
        with self._guard:
            known = self._causes.get(reason)
            if known is None and len(self._causes) >= KEPT:
                return
            before = known or Cause(reason, 0)
            kept = tuple(dict.fromkeys((*before.names, *names[:NAMES])))[:NAMES]
            self._causes[reason] = Cause(reason, before.attempts + len(names), kept)

    def counted(self) -> tuple[Cause, ...]:
        """Return the reasons, the most frequent first."""
        with self._guard:
            return tuple(sorted(self._causes.values(), key=lambda cause: -cause.attempts))


def shown_causes(causes: Sequence[Cause]) -> str:
    """Return the first reasons in one line.

    A count is left out where a single name, or the text before the line, already tells it.
    """
    alone, more = len(causes) == 1, len(causes) - SHOWN
    said = [shown_cause(one) if alone or one.attempts == 1 else counted_cause(one) for one in causes[:SHOWN]]
    return "; ".join(said) + (f"; and {more} more reason{'s' if more > 1 else ''}" if more > 0 else "")


def counted_cause(cause: Cause) -> str:
    """Return the reason with its number of rows or attempts and the first of their names."""
    return f"{cause.attempts:,} × {shown_cause(cause)}"


def shown_cause(cause: Cause) -> str:
    """Return the reason with the names of the first rows or events that failed for it."""
    more = " …" if cause.attempts > len(cause.names) >= NAMES else ""
    return f"{cause.reason.rstrip('.')} ({', '.join(cause.names)}{more})"
