"""FireLedgerPlace: a ledger that keeps fires, and how to open it."""

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field

from batchops.scheduler.fires import Fires


@dataclass(frozen=True)
class FireLedgerPlace:
    """A ledger that keeps fires."""

    key: Hashable
    """Equal for the same ledger."""
    shown: str = field(compare=False)
    open: Callable[[], AbstractContextManager[Fires]] = field(compare=False)


class OpenedOnce:
    """Returns the fires of a place, which the first call that succeeds opens."""

    def __init__(self, stack: ExitStack, place: FireLedgerPlace) -> None:
        self._stack, self._place = stack, place
        self._fires: Fires | None = None

    def __call__(self) -> Fires:
        if self._fires is None:
            self._fires = self._stack.enter_context(self._place.open())
        return self._fires
