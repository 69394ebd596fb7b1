"""The registry of verbs, by name; the module of a verb is imported when it is first used."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `batchops --help` needs neither SQLAlchemy nor pydantic
    from batchops.spec.verb import Verb


@dataclass(frozen=True)
class Entry:
    """A verb's line in the help, and the module that holds its VERB."""

    summary: str
    module: str
    in_recipes: bool = True
    """Whether it is a top-level command, which a recipe may name."""


_ENTRIES = {
    "purge": Entry("Delete rows in small transactions.", "batchops.bulk.purge"),
    "backfill": Entry("Update rows in small transactions, each at most once.", "batchops.bulk.backfill"),
    "archive": Entry("Move rows to files or another table: durable there, then deleted here.", "batchops.bulk.archive"),
    "restore": Entry("Put archived rows back, typed as they were.", "batchops.restore.prepare"),
    "drain": Entry("Hand pending rows to a handler, by any number of workers.", "batchops.queue.prepare"),
    "relay": Entry("Deliver the events of an outbox in order, at least once.", "batchops.outbox.prepare"),
    "replay": Entry("Deliver events again that were sent.", "batchops.outbox.replay", in_recipes=False),
}


BEHIND_VERBS = {"archive": frozenset(("verify", "list", "show", "query", "prune"))}
"""Words after a verb that are commands of their own, each in the module of `batchops.cli` that the verb names.

A table of such a name must be written with its schema.
"""


class Verbs(Mapping[str, "Verb"]):
    """A mapping of verbs by name, which imports a verb's module on access."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries

    def __getitem__(self, name: str) -> "Verb":
        found: Verb = import_module(self._entries[name].module).VERB
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def summaries(self) -> dict[str, str]:
        """What each verb does, in one line."""
        return {name: entry.summary for name, entry in self._entries.items()}


VERBS = Verbs(_ENTRIES)
RECIPE_VERBS = Verbs({name: entry for name, entry in _ENTRIES.items() if entry.in_recipes})
"""The verbs that a recipe may name; each is a top-level command."""
