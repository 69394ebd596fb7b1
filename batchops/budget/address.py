"""What --budget names: a database, and one of the budgets in it."""

import os
from dataclasses import dataclass

from batchops.db.url_references import is_reference
from batchops.db.urls import DatabaseAddress, address, file_address
from batchops.errors import UsageError

LONGEST_NAME = 100


@dataclass(frozen=True)
class BudgetAddress:
    """Where a budget is kept."""

    database: DatabaseAddress
    name: str

    @property
    def shown(self) -> str:
        """For people, without secrets."""
        return f"{self.database.shown}#{self.name}"


def checked(text: str | None) -> str | None:
    """The text, if it has a name in it; ValueError otherwise."""
    if text is not None:
        _parts(text)
    return text


def budget_address(text: str, *, makes: bool = False) -> BudgetAddress:
    """`URL#NAME` or `FILE#NAME`; without either, in the database that BATCHOPS_URL or DATABASE_URL names.

    `makes`: a SQLite file that is not there is made.
    """
    try:
        where, name = _parts(text)
    except ValueError as error:
        raise UsageError(f"--budget: {error}.") from None
    if not where or "://" in where or is_reference(where):
        return BudgetAddress(address(where or None, os.environ), name)
    made = file_address(where)
    return BudgetAddress(made if makes else address(made.shown, {}), name)


def _parts(text: str) -> tuple[str, str]:
    url, mark, name = text.rpartition("#")
    if not mark or not name.strip():
        raise ValueError("it names no budget: write URL#NAME or FILE#NAME, like postgresql://host/ops#nightly")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"the name of a budget has at most {LONGEST_NAME} characters")
    return url, name
