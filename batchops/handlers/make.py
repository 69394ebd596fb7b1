"""From the flags that name a handler to the handler; what it needs is imported only here."""

from batchops.errors import UsageError
from batchops.handlers import Handler
from batchops.handlers.function import Function, InPython, imported
from batchops.handlers.sql import InSql
from batchops.queues.spec import DrainSpec


def handler_of(spec: DrainSpec, function: Function | None) -> Handler:
    """The one handler that was asked for; UsageError where there is none, or it cannot be had."""
    if function is not None:
        if spec.handlers:
            raise UsageError(f"{spec.handlers[0]} and a handler of your own exclude each other.")
        return InPython(function, getattr(function, "__name__", "the handler"))
    if spec.call is not None:
        return imported(spec.call)
    if spec.exec is not None:
        from batchops.handlers.program import EachRow

        return EachRow(spec.exec, spec.deadline.total_seconds())
    if spec.exec_batch is not None:
        from batchops.handlers.programs import StaysUp

        return StaysUp(spec.exec_batch, spec.deadline.total_seconds())
    if spec.post is not None:
        from batchops.handlers.http import Posts

        return Posts(spec.post, spec.deadline.total_seconds())
    if spec.set:
        return InSql()
    raise UsageError(
        "Who does the work? Give --call, --exec, --exec-batch, --post or --set.", "see `batchops drain --help`."
    )
