"""Finds the handler that the flags name. Libraries that it needs are imported only then."""

from collections.abc import Mapping

from batchops.db.url_references import fetch, is_reference
from batchops.errors import UsageError
from batchops.queue.handlers import Handler
from batchops.queue.handlers.function import Function, function_handler, imported
from batchops.queue.handlers.sql import SqlHandler
from batchops.queue.spec import DrainSpec


def handler_of(spec: DrainSpec, function: Function | None, environ: Mapping[str, str]) -> Handler:
    """Return the handler that the flags or the function give; raise UsageError if there is none, or it cannot be used.

    env:NAME, file:PATH and cmd:PROGRAM fetch the address to post to from a place where others cannot read it.
    """
    if function is not None:
        if spec.handlers:
            raise UsageError(f"{spec.handlers[0]} and a handler of your own exclude each other.")
        name = getattr(function, "__name__", "the handler")
        return function_handler(function, name, spec.deadline.total_seconds())
    if spec.call is not None:
        return imported(spec.call, spec.deadline.total_seconds())
    if spec.exec is not None:
        from batchops.queue.handlers.exec import ExecHandler

        return ExecHandler(spec.exec, spec.deadline.total_seconds())
    if spec.exec_batch is not None:
        from batchops.queue.handlers.exec_batch import ExecBatchHandler

        return ExecBatchHandler(spec.exec_batch, spec.deadline.total_seconds())
    if spec.post is not None:
        from batchops.queue.handlers.http import HttpHandler

        place = fetch(spec.post, environ, "address to post to").text if is_reference(spec.post) else spec.post
        return HttpHandler(place, spec.deadline.total_seconds())
    if spec.set:
        return SqlHandler()
    raise UsageError(
        "Who does the work? Give --call, --exec, --exec-batch, --post or --set.", "see `batchops drain --help`."
    )
