"""Delete, update and deliver rows of a live database in small transactions.

`purge`, `backfill`, `archive`, `restore`, `drain`, `relay` and `replay` do what the commands of the same names do, with
the same options, and return Finished; `plan` returns what one of them would do; `run` runs a recipe; `archive_query`
answers a SELECT over an archive, and `archive_prune` removes old runs from it; `outbox.save` writes events.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from batchops.version import __version__

if TYPE_CHECKING:
    from batchops import outbox
    from batchops.api import (
        archive,
        archive_prune,
        archive_query,
        backfill,
        drain,
        plan,
        purge,
        relay,
        replay,
        restore,
        run,
    )
    from batchops.archive.query.query import QueryResult
    from batchops.errors import (
        BatchopsError,
        Exit,
        IntegrityError,
        LockedError,
        NotFoundError,
        RefusedError,
        TransientError,
        UnreachableError,
        UsageError,
    )
    from batchops.events import (
        Backlog,
        Committed,
        Copied,
        Event,
        Failure,
        Finished,
        Maintaining,
        Rejected,
        Retried,
        Started,
        Stopping,
        Throttled,
        ThrottleReason,
        Warned,
    )
    from batchops.finished_details import Archived, Cause, Drained, Listed, Relayed, Restored, SpaceLeft
    from batchops.runtime.stop import Stop

__all__ = [
    "Archived",
    "Backlog",
    "BatchopsError",
    "Cause",
    "Committed",
    "Copied",
    "Drained",
    "Event",
    "Exit",
    "Failure",
    "Finished",
    "IntegrityError",
    "Listed",
    "LockedError",
    "Maintaining",
    "NotFoundError",
    "QueryResult",
    "RefusedError",
    "Rejected",
    "Relayed",
    "Restored",
    "Retried",
    "SpaceLeft",
    "Started",
    "Stop",
    "Stopping",
    "ThrottleReason",
    "Throttled",
    "TransientError",
    "UnreachableError",
    "UsageError",
    "Warned",
    "__version__",
    "archive",
    "archive_prune",
    "archive_query",
    "backfill",
    "drain",
    "outbox",
    "plan",
    "purge",
    "relay",
    "replay",
    "restore",
    "run",
]  # fmt: skip


class _Library(ModuleType):
    """The module's class, which keeps a verb's function when Python would bind an imported package to the same name."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _VERBS or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


_VERBS = frozenset(("archive", "restore"))
"""The verbs that have the same name as a package."""
sys.modules[__name__].__class__ = _Library


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> object:
    """Import a name when it is first used: `batchops --help` needs neither SQLAlchemy nor pydantic."""
    if name == "outbox":
        return import_module("batchops.outbox")
    if name in __all__:
        for module in ("errors", "events", "runtime.stop", "api"):
            found = import_module(f"batchops.{module}")
            if hasattr(found, name):
                return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
