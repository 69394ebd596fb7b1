"""triggers: code on the table may keep rows from being changed, or change more than them."""

from collections.abc import Iterator

from batchops.bulk.plan.checks.context import Check, CheckContext, CheckRefusal
from batchops.db.facts import Trigger


def set_off(context: CheckContext) -> list[Trigger]:
    """The triggers and rules that fire on the job's statements."""
    return [
        trigger
        for trigger in context.facts.triggers
        if trigger.event == context.event and (not trigger.columns or _named(trigger, context.sets))
    ]


def _named(trigger: Trigger, columns: frozenset[str]) -> bool:
    lower = {name.lower() for name in columns}
    return any(name.lower() in lower for name in trigger.columns)


def _look(context: CheckContext) -> Iterator[CheckRefusal]:
    for trigger in set_off(context):
        kind = "rule" if trigger.timing == "rule" else f"{trigger.timing} trigger"
        may = "do more than was asked for" if trigger.timing == "after" else "leave rows as they are, or do more"
        yield CheckRefusal(
            f'The {kind} "{trigger.name}" on "{trigger.table}" fires on each {context.event} and may {may}.',
            "check what it does",
        )


CHECK = Check("triggers", "triggers and rules may veto or do more", _look)
