"""The address of a budget, as --budget names it: a database, and the name of a budget in it."""

import os
from dataclasses import dataclass

from batchops.db.url_references import is_reference
from batchops.db.urls import DatabaseAddress, address, file_address
from batchops.errors import UsageError

LONGEST_NAME = 100


@dataclass(frozen=True)
class BudgetAddress:
    """The database that keeps a budget, and the budget's name."""

    database: DatabaseAddress
    name: str

    @property
    def shown(self) -> str:
        """The address for people, without secrets."""
        return f"{self.database.shown}#{self.name}"


def checked(text: str | None) -> str | None:
    """Return the text unchanged if it names a budget; ValueError otherwise."""
    if text is not None:
        _parts(text)
    return text


def budget_address(text: str, *, makes: bool = False) -> BudgetAddress:
    """Return the address for `URL#NAME` or `FILE#NAME`; for `#NAME`, in the database of BATCHOPS_URL or DATABASE_URL.

    `makes`: a SQLite file that does not exist is made.
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
