"""What an HTTP answer says, to handlers and sinks alike."""

from typing import Any


def retry_after(headers: Any) -> float | None:
    """Retry-After in seconds; a date in it is not worth the trust in two clocks."""
    try:
        return min(float(headers.get("Retry-After", "")), 86_400.0)
    except ValueError:
        return None
