"""A shape: a condition, what the table has for it, and what one statement would say."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """`made`: statements that give the table its indexes, and make the other tables that the condition reads."""

    name: str
    where: str
    made: tuple[str, ...] = ()
    set: str = ""
    """`column = expression` of a backfill; empty: a purge."""
    done: str = ""
    """Which rows of a backfill are still to be changed; of a purge, those that match are."""
    options: tuple[str, ...] = ()
    beside: str = ""
    """What it is compared with; empty: the single statement that does the same."""

    @property
    def statement(self) -> str:
        """The single statement that does the same."""
        if self.set:
            return f"UPDATE events SET {self.set} WHERE {self.where}"
        return f"DELETE FROM events WHERE {self.where}"

    @property
    def left(self) -> str:
        """Rows that a run through to its end leaves none of."""
        return self.done if self.set else self.where

    def command(self, url: str) -> tuple[str, ...]:
        """The tool's command line."""
        verb = ("backfill", "events", "--set", self.set) if self.set else ("purge", "events")
        rows = ("--all-rows",) if self.where == "1 = 1" else ("--where", self.where)
        return (*verb, "--url", url, *rows, *self.options)
