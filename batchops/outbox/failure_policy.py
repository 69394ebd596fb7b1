"""What becomes of an event that the destination refuses."""

from dataclasses import dataclass
from typing import Literal

from batchops.outbox.failures import RefusedEvent, State
from batchops.outbox.sinks import Refused
from batchops.runtime.backoff import LONGEST, RetryPolicy

OnFailed = Literal["wait", "hold-key", "dead-letter"]
_GIVEN_UP = {"hold-key": State.HELD, "dead-letter": State.DEAD_LETTER}


@dataclass(frozen=True)
class FailurePolicy:
    """`block`: it is tried again for ever; else it is given up on after its last attempt."""

    on_failed: OnFailed
    attempts: RetryPolicy

    def __call__(self, event: str, aggregate: str, refused: Refused, before: int) -> RefusedEvent:
        """What to write down of an event, by its id, that was refused `before` times before."""
        tried = before + 1
        state = State.WAITING
        if refused.final or self.attempts.used_up(tried):
            state = _GIVEN_UP.get(self.on_failed, State.WAITING)
        return RefusedEvent(
            event=event,
            aggregate=aggregate,
            state=state,
            attempts=tried,
            pause=self._pause(refused, tried) if state is State.WAITING else 0.0,
            reason=refused.reason[:400],
        )

    def _pause(self, refused: Refused, tried: int) -> float:
        if refused.after is not None:
            return max(refused.after, 0.0)
        return LONGEST if refused.final else self.attempts.pause(tried)
