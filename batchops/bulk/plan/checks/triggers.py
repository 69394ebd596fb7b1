"""triggers: code on the table may keep rows from being changed, or change more than these rows."""

from collections.abc import Iterator, Sequence

from batchops.bulk.plan.checks.context import Check, CheckContext, CheckRefusal
from batchops.db.facts import Trigger


def set_off(context: CheckContext) -> list[Trigger]:
    """Return the triggers and rules that fire on the job's statements."""
    return fired_by(context.facts.triggers, context.event, context.sets)


def fired_by(triggers: Sequence[Trigger], event: str, sets: frozenset[str] = frozenset()) -> list[Trigger]:
    """Return the triggers that fire on a DELETE, or on an UPDATE of these columns."""
    return [one for one in triggers if one.event == event and (not one.columns or _named(one, sets))]


def _named(trigger: Trigger, columns: frozenset[str]) -> bool:
    lower = {name.lower() for name in columns}
    return any(name.lower() in lower for name in trigger.columns)


def _look(context: CheckContext) -> Iterator[CheckRefusal]:
    yield from fires(set_off(context))


def fires(triggers: Sequence[Trigger]) -> Iterator[CheckRefusal]:
    """Yield a refusal for each trigger."""
    for trigger in triggers:
        kind = "rule" if trigger.timing == "rule" else f"{trigger.timing} trigger"
        may = "do more than was asked for" if trigger.timing == "after" else "leave rows as they are, or do more"
        yield CheckRefusal(
            f'The {kind} "{trigger.name}" on "{trigger.table}" fires on each {trigger.event} and may {may}.',
            "check what it does",
        )


CHECK = Check("triggers", "triggers and rules may veto or do more", _look)
