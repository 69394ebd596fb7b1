"""The order in which an outbox's events are sent, and what that order is based on."""

from dataclasses import dataclass
from enum import StrEnum


class OrderSource(StrEnum):
    """What tells which of two events was written first."""

    NUMBER = "numbers that the database gives as events are written"
    CLOCK = "the clock as each event is written"
    STATEMENT = "the start of each statement"
    TRANSACTION = "the start of each transaction"
    APPLICATION = "what the application writes"
    NOTHING = "nothing"


@dataclass(frozen=True)
class EventOrder:
    """The columns that order events. The last one is the event's id, so no two events have the same place."""

    columns: tuple[str, ...]
    source: OrderSource
    asked: bool = True
    """Whether the user named the order."""

    @property
    def kept(self) -> bool:
        """Whether events of one aggregate are sent in this order. If not, each event is sent by itself."""
        return self.source is not OrderSource.NOTHING

    @property
    def numbered(self) -> bool:
        """Whether the order is by numbers of the database, so that later events come after earlier ones."""
        return self.source is OrderSource.NUMBER

    @property
    def shown(self) -> str:
        """Return the order as text for a plan."""
        if not self.kept:
            return "none: each event by itself"
        return f"by {', '.join(self.columns)}"
