"""triggers: code on the table may keep rows from being changed, or change more than these rows."""

from collections.abc import Iterator, Sequence

from batchops.bulk.plan.checks.context import Check, CheckContext, CheckRefusal
from batchops.db.facts import Trigger, fired_by


def set_off(context: CheckContext) -> list[Trigger]:
    """Return the triggers and rules that fire on the job's statements."""
    return fired_by(context.facts.triggers, context.event, context.sets)


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
