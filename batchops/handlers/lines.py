"""Rows as JSON, for handlers outside this process."""

import base64
import json
from datetime import date, datetime, time, timedelta
from typing import Any

from batchops.handlers import Failed, HandlerError, Result, Values


def line(row: Values) -> str:
    """A row as one line of JSON; moments in ISO 8601, numbers that JSON would round as text, bytes as base64."""
    return json.dumps(dict(row), ensure_ascii=False, default=_plain, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode()
    return str(value)


def result(text: str, who: str) -> Result:
    """What a result line means: true, null or {"ok": true} is done; false, a text or {"error": …} is failed."""
    try:
        told = json.loads(text)
    except ValueError:
        raise HandlerError(
            f"{who} answered a row with what is no JSON: {_short(text)}",
            'a result line is {"ok": true} or {"error": "why"}; messages belong on stderr.',
        ) from None
    match told:
        case None | True:
            return None
        case False:
            return Failed("the program said false")
        case str():
            return Failed(told)
        case {"error": reason, **more}:
            return Failed(str(reason)[:400], final=more.get("final") is True)
        case {"ok": True}:
            return None
        case {"ok": False}:
            return Failed("the program said that it is not ok")
    raise HandlerError(f"{who} answered a row with what is no result: {_short(text)}", 'say {"ok": true} for done.')


def _short(text: str) -> str:
    return text.strip()[:80] or "an empty line"
