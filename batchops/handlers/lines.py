"""Rows as JSON, for handlers outside this process."""

import json

from batchops.db.wire import as_json
from batchops.handlers import Failed, HandlerError, Result, Values


def line(row: Values) -> str:
    """A row as one line of JSON, each value exact."""
    return as_json(dict(row))


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
