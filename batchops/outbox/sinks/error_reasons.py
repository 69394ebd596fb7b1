"""Explains why a connection failed, without naming addresses or secrets."""

import re
import ssl
from collections.abc import Iterator

from batchops.outbox.sinks import SinkDownError


def why(error: BaseException) -> tuple[str, str]:
    """Return the reason for a connection error, and a hint or "".

    The errors that it wraps are searched too: clients wrap the one that gives the reason.
    """
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted ({cause.verify_message})",
                "name the authority that signed it: ca=FILE.",
            )
        if isinstance(cause, ssl.SSLError):
            return f"TLS was refused ({cause.args[-1] if cause.args else 'no reason given'})", ""
        if isinstance(cause, OSError) and cause.strerror:
            return f"no answer: {cause.strerror}", ""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__.removesuffix("Error")).lower()
    return f"no answer: {words}", ""


def down(place: str, error: BaseException) -> SinkDownError:
    """Return the error for a destination that cannot be reached, with the reason."""
    reason, hint = why(error)
    return SinkDownError(f"{place}: {reason}.", hint)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and the errors that it was raised from or wraps, each once."""
    waiting, seen = [error], set[int]()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        within = (*getattr(cause, "exceptions", ()), getattr(cause, "exception", None))  # as pika wraps them
        parts = (cause.__cause__, cause.__context__, *cause.args, *within)
        waiting += [part for part in parts if isinstance(part, BaseException)]
