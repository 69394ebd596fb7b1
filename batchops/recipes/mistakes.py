"""The mistakes in a recipe, each with its line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from batchops.errors import UsageError


@dataclass(frozen=True, order=True)
class Mistake:
    """A mistake in a recipe, and its line."""

    line: int
    message: str
    hint: str = ""

    @property
    def text(self) -> str:
        """The message and the hint in one line, for people."""
        return f"{self.message} Hint: {self.hint}" if self.hint else self.message


class RecipeError(UsageError):
    """A recipe with mistakes in it."""

    def __init__(self, path: Path, mistakes: Sequence[Mistake]) -> None:
        self.path = path
        self.mistakes = tuple(sorted(mistakes))
        what = f"{len(mistakes)} mistakes" if len(mistakes) > 1 else "a mistake"
        lines = "\n".join(f"line {mistake.line}: {mistake.text}" for mistake in self.mistakes)
        super().__init__(f'Recipe "{path}" has {what}.\n{lines}')
