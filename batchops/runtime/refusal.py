"""Refusal: why a check refuses a run, before the run writes anything."""

from collections.abc import Sequence
from dataclasses import dataclass

from batchops.errors import RefusedError


@dataclass(frozen=True)
class Refusal:
    """Why a check refuses a job; `allowed` if the user has overridden the check by its name."""

    check: str
    """The name that --allow takes; or "right", "ledger", "read-only", "engine", which nothing overrides."""
    message: str
    hint: str
    allowed: bool = False

    @property
    def text(self) -> str:
        """The message and the hint in one line, for people."""
        text = f"{self.message} Hint: {self.hint}" if self.hint else self.message
        return " ".join(text.split("\n"))

    def document(self) -> dict[str, str | None]:
        """Return the refusal as a document for programs."""
        state = "allowed" if self.allowed else "refused"
        return {"name": self.check, "state": state, "message": self.message, "hint": self.hint or None}


def refusal(refusals: Sequence[Refusal]) -> RefusedError | None:
    """Return the error that lists every refusal that is not allowed; None if there is none."""
    not_allowed = [refusal for refusal in refusals if not refusal.allowed]
    if not not_allowed:
        return None
    if len(not_allowed) == 1:
        return RefusedError(not_allowed[0].message, not_allowed[0].hint)
    # Each message has its own hint beside it, as a hint helps against one refusal only.
    return RefusedError("\n".join(f"{refusal.check}: {refusal.text}" for refusal in not_allowed))


def refuse(refusals: Sequence[Refusal]) -> None:
    """Raise RefusedError if a refusal is not allowed."""
    if (error := refusal(refusals)) is not None:
        raise error
