"""Decides from an HTTP answer whether the event or the destination is at fault."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from batchops.outbox.sinks import AccessRefusedError, Delivery, Refused, SinkDownError, Unsent
from batchops.outbox.sinks.error_reasons import why
from batchops.runtime.backoff import retry_after


class DeliveryFault(Enum):
    """Who is to blame for a failed event. Some cases depend on whether other events of the same call got through."""

    EVENT = "the event's, whatever the others got"
    EITHER = "the event's if others got through, or if it was the only one; else the destination's"
    ADDRESS = "the same, and final if others got through"
    BUSY = "the destination's, unless others got through"
    LIMIT = "the destination's: it asks to wait"
    DESTINATION = "the destination's"


_KINDS = {
    **dict.fromkeys((401, 407), DeliveryFault.DESTINATION),
    **dict.fromkeys((403, 404, 405, 410), DeliveryFault.ADDRESS),
    **dict.fromkeys((408, 409, 425), DeliveryFault.EITHER),
    429: DeliveryFault.LIMIT,
    **dict.fromkeys((502, 503, 504), DeliveryFault.BUSY),
}
_ACCESS_REFUSED = frozenset({401, 403, 407})
_HINTS = {
    401: "check the user and password in the URL, or #token=.",
    403: "check the address, and what its credentials allow.",
    404: "check the address.",
    405: "check the address: it does not accept POST.",
    407: "a proxy asks for credentials.",
}


@dataclass(frozen=True)
class HttpAnswer:
    """The result of the request for one event. `fault` is None for an acknowledgement."""

    fault: DeliveryFault | None
    reason: str = ""
    hint: str = ""
    after: float | None = None
    access_refused: bool = False
    """Whether the destination refused the credentials, rather than the request."""

    @property
    def delivery(self) -> Delivery:
        """Return what became of the event, if other events of the call got through."""
        if self.fault is None:
            return None
        if self.fault in (DeliveryFault.LIMIT, DeliveryFault.DESTINATION):
            return Unsent(self.reason)
        return Refused(self.reason, self.fault in (DeliveryFault.EVENT, DeliveryFault.ADDRESS), self.after)


def answered(status: int, headers: Any) -> HttpAnswer:
    """Return the result that an HTTP status means."""
    if 200 <= status < 300:
        return HttpAnswer(None)
    reason, hint = f"HTTP {status}", _HINTS.get(status, "")
    if status < 400:
        hint = "redirects are not followed: give the address that it leads to."
        return HttpAnswer(DeliveryFault.ADDRESS, reason, hint)
    fault = _KINDS.get(status, DeliveryFault.EITHER if status >= 500 else DeliveryFault.EVENT)
    after = retry_after(headers) if fault in (DeliveryFault.EITHER, DeliveryFault.BUSY, DeliveryFault.LIMIT) else None
    return HttpAnswer(fault, reason, hint, after, access_refused=status in _ACCESS_REFUSED)


def unanswered(error: Exception, fault: DeliveryFault) -> HttpAnswer:
    """Return the result for a request that failed without an answer.

    Its reason names the kind of error only: the error's text may repeat the URL, and a token in it.
    """
    reason, hint = why(error)
    return HttpAnswer(fault, reason, hint.replace("ca=", "#ca="))


def down(place: str, answers: Iterable[HttpAnswer]) -> SinkDownError | None:
    """Return the error to raise if all answers of a call together blame the destination; else None."""
    all_answers = list(answers)
    if any(answer.fault in (None, DeliveryFault.EVENT) for answer in all_answers):
        return None
    sure = [a for a in all_answers if a.fault in (DeliveryFault.DESTINATION, DeliveryFault.LIMIT, DeliveryFault.BUSY)]
    if not sure and len(all_answers) < 2:
        return None
    first = (sure or all_answers)[0]
    if all(answer.access_refused for answer in all_answers):
        return AccessRefusedError(f"{place}: it refuses the credentials ({first.reason}).", first.hint)
    return SinkDownError(f"{place}: {first.reason}.", first.hint)


def lenient(answer: HttpAnswer) -> Delivery:
    """Return what became of the only event of a call: never a final refusal because of the address.

    Another attempt, together with other events, may show that the event was not to blame.
    """
    if answer.fault is DeliveryFault.ADDRESS:
        return Refused(answer.reason, after=answer.after)
    return answer.delivery
