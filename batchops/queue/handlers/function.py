"""The handler of `--call module:function`: calls a Python function with the rows of a batch, or with one row."""

import inspect
import os
import sys
import time
from collections.abc import Callable, Collection, Sequence
from importlib import import_module
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from batchops.db.storable_text import reason_of, spelled
from batchops.db.value_formats import parse_documents
from batchops.errors import UsageError, did_you_mean
from batchops.queue.handlers import Failed, HandlerError, HandlerLeftError, Result, Unstarted, Values
from batchops.queue.results import blamed
from batchops.runtime.stop import Stop

Function = Callable[..., Any]
ONE = "row"
"""The name of the first parameter of a function that is called for each row."""


def function_handler(function: Function, name: str, deadline: float) -> "FunctionHandler":
    """Return the handler for a function: one call for each row if its first parameter is `row`, else for each batch.

    A function with a second parameter gets the connection too.
    """
    parameters = _parameters(function, name)
    kind = RowFunctionHandler if parameters[:1] == (ONE,) else FunctionHandler
    return kind(function, name, deadline, in_transaction=len(parameters) == 2)


class FunctionHandler:
    """Calls `handler(rows)` or `handler(rows, connection)` once for each batch."""

    can_crash = True
    isolate_failed = False

    def __init__(self, function: Function, name: str, deadline: float, *, in_transaction: bool) -> None:
        self._function = function
        self._name = name
        self._deadline = deadline
        self.in_transaction = in_transaction
        self._documents: Collection[str] = ()

    def __call__(
        self,
        rows: Sequence[Values],
        connection: sa.Connection | None,
        stop: Stop,  # noqa: ARG002  a call cannot be interrupted
    ) -> Sequence[Result]:
        try:
            parse_documents(rows, self._documents)
            answer = self._call(rows, connection)
        except TypeError as error:
            if "list indices must be integers" in str(error):
                raise TypeError(f'{error}; it gets a list of rows: name its parameter "{ONE}" to get one') from error
            raise
        if answer is None:
            return [None] * len(rows)
        if not isinstance(answer, list | tuple) or len(answer) != len(rows):
            shape = f"{len(answer)} results" if isinstance(answer, list | tuple) else type(answer).__name__
            raise HandlerError(
                f"{self._name} returned {shape} for {len(rows)} rows.",
                "return nothing, or a list with one result a row: None for done, a text for the reason it failed.",
            )
        return [self._result(one) for one in answer]

    def open(
        self, key: Sequence[str], documents: Collection[str], warn: Callable[[str], None]  # noqa: ARG002
    ) -> None:  # fmt: skip
        """Note the columns whose documents the function gets as Python objects."""
        self._documents = documents

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def _call(self, values: object, connection: sa.Connection | None) -> Any:
        try:
            return self._function(values, connection) if self.in_transaction else self._function(values)
        except Exception:
            raise
        except BaseException as error:  # not the user's Ctrl-C: that does not reach this thread
            text = reason_of(error)
            raise HandlerLeftError(f"the handler raised {type(error).__name__}{text and f': {text}'}") from error

    def _result(self, one: object) -> Result:
        match one:
            case None | True | Failed():
                return one if isinstance(one, Failed) else None
            case False:
                return Failed("the handler returned False")
            case str() | BaseException():
                return Failed(spelled(one) or type(one).__name__)
        raise HandlerError(
            f"{self._name} returned {type(one).__name__} as the result of a row.",
            "a result is None or True for done; a text, False or an exception for failed.",
        )


class RowFunctionHandler(FunctionHandler):
    """Calls `handler(row)` or `handler(row, connection)` for each row; an exception fails that row alone."""

    def __call__(
        self,
        rows: Sequence[Values],
        connection: sa.Connection | None,
        stop: Stop,
    ) -> Sequence[Result]:
        # Rows that no time is left for are released: the deadline holds for the whole batch.
        end = time.monotonic() + self._deadline / 2
        return [Unstarted() if stop.asked or time.monotonic() > end else self._one(row, connection) for row in rows]

    def _one(self, row: Values, connection: sa.Connection | None) -> Result:
        try:
            parse_documents([row], self._documents)
            return self._result(self._call(row, connection))
        except Exception as error:
            # A failed statement may have ended the transaction for all rows: then the caller halves the batch.
            ends_all = connection is not None and isinstance(error, DBAPIError)
            if ends_all or (failed := blamed(error)) is None:
                raise
            return failed


def imported(reference: str, deadline: float) -> FunctionHandler:
    """Return the handler for the function that `package.module:function` names; raise UsageError if there is none."""
    module_name, colon, path = reference.partition(":")
    if not (module_name and colon and path):
        raise UsageError(f'--call: "{reference}" is not of the form module:function.', "for example jobs.mail:send")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = import_module(module_name)
    except ModuleNotFoundError as error:
        hint = f"it is looked for in {os.getcwd()} and where Python finds modules."
        raise UsageError(f'--call: there is no module "{error.name}".', hint) from error
    except (Exception, SystemExit) as error:
        raise UsageError(
            f'--call: module "{module_name}" cannot be imported: {type(error).__name__}: {reason_of(error)}'
        ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            hint = did_you_mean(part, dir(found))
            raise UsageError(f'--call: "{module_name}" has no function "{path}".', hint)
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f'--call: "{path}" in "{module_name}" is not a function.')
    return function_handler(found, reference, deadline)


def _parameters(function: Function, name: str) -> tuple[str, ...]:
    """Return the names of the parameters to pass to the function, one or two; raise UsageError for any other."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-in functions have no signature
        return ("rows",)
    positional = [
        p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]  # fmt: skip
    required = [p for p in positional if p.default is p.empty]
    named = [p for p in signature.parameters.values() if p.kind == p.KEYWORD_ONLY and p.default is p.empty]
    if named or len(required) > 2 or not (positional or _takes_any(signature)):
        raise UsageError(
            f"{name} does not take (rows) or (rows, connection).", "or (row) or (row, connection), called for each row."
        )
    return tuple(p.name for p in (required or positional[:1])) or ("rows",)


def _takes_any(signature: inspect.Signature) -> bool:
    return any(p.kind == p.VAR_POSITIONAL for p in signature.parameters.values())
