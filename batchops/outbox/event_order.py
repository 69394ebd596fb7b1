"""The order in which an outbox's events are sent, and what the order is based on."""

from dataclasses import dataclass
from enum import StrEnum


class OrderSource(StrEnum):
    """What decides which of two events was written first."""

    NUMBER = "numbers that the database gives as events are written"
    CLOCK = "the clock as each event is written"
    STATEMENT = "the start of each statement"
    TRANSACTION = "the start of each transaction"
    APPLICATION = "what the application writes"
    NOTHING = "nothing"


@dataclass(frozen=True)
class EventOrder:
    """Columns that put every event in its one place: the last of them names it."""

    columns: tuple[str, ...]
    source: OrderSource
    asked: bool = True
    """Whether a person has named it."""

    @property
    def kept(self) -> bool:
        """Whether events of one aggregate are kept in it; else each event is an aggregate of its own."""
        return self.source is not OrderSource.NOTHING

    @property
    def numbered(self) -> bool:
        """Whether an event written later never comes before one that is there."""
        return self.source is OrderSource.NUMBER

    @property
    def shown(self) -> str:
        """For a plan."""
        if not self.kept:
            return "none: each event by itself"
        return f"by {', '.join(self.columns)}"
