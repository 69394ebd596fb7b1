"""The JSON document of a run, for `--json`: fields are added to it, but never changed or removed."""

import json
from dataclasses import asdict
from typing import TextIO

from batchops.events import Event, Finished
from batchops.reporters import Warn
from batchops.reporters.safe_streams import SafeStream

FIELDS = (
    "version", "run", "verb", "table", "strategy", "reason", "exit", "rows", "read", "batches", "retries",
    "rejected", "locked", "seconds", "throttled_seconds", "cutoff", "left", "next", "error",
)  # fmt: skip


def document(finished: Finished) -> dict[str, object]:
    """Return the end of a run as the document's fields, in their order; seconds to the millisecond."""
    values = asdict(finished)
    more = values["drained"] or values["relayed"] or values["archived"] or values["restored"] or {}
    if finished.done_at is not None:
        more = {**more, "done_at": finished.done_at}
    if finished.listed is not None:
        more = {**more, "listed": values["listed"]}
    if finished.families is not None:
        more = {**more, **{name: value for name, value in values["families"].items() if value or name == "tables"}}
    if finished.throttled_by:
        more = {**more, "throttled_by": values["throttled_by"]}
    if finished.maintained:
        more = {**more, "maintained": values["maintained"], "space": values["space"]}
    if finished.rejected_causes:
        more = {**more, "rejected_causes": values["rejected_causes"]}
    return {name: rounded(value) for name, value in ({name: values[name] for name in FIELDS} | more).items()}


_OF_FAMILIES = ("tables", "partial", "unmatched", "ruled")
"""The fields of events that only a purge with children fills in."""


def event_values(event: Event) -> dict[str, object]:
    """Return the fields of an event; for Finished those of the document."""
    if isinstance(event, Finished):
        return document(event)
    return {name: value for name, value in asdict(event).items() if value or name not in _OF_FAMILIES}


def rounded(value: object) -> object:
    """Return the value with each number of seconds, also a nested one, rounded to the millisecond."""
    match value:
        case float():
            return round(value, 3)
        case dict():
            return {name: rounded(one) for name, one in value.items()}
        case list() | tuple():
            return [rounded(one) for one in value]
    return value


def as_json(value: object) -> str:
    """Return the value as a line of ASCII: no text from a database can control a terminal or break an encoding."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False)


class JsonDocument:
    """Writes the document to `stream` when the run has finished."""

    def __init__(self, stream: TextIO | None, warn: Warn | None = None) -> None:
        self._out = SafeStream(stream, warn)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Finished):
            self._out.line(as_json(document(event)))
