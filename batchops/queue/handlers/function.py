"""`--call module:function`: a Python function that gets the rows, and the connection where it asks for one."""

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import sqlalchemy as sa

from batchops.db.storable_text import reason_of, spelled
from batchops.db.value_formats import as_python
from batchops.errors import UsageError, did_you_mean
from batchops.queue.handlers import Failed, HandlerError, HandlerLeftError, Result, Values
from batchops.runtime.stop import Stop

Function = Callable[..., Any]


class InPython:
    """Calls `handler(rows)` or `handler(rows, connection)`."""

    can_crash = True
    isolate_failed = False

    def __init__(self, function: Function, name: str) -> None:
        self._function = function
        self._name = name
        self.in_transaction = _parameters(function, name) == 2

    def __call__(
        self,
        rows: Sequence[Values],
        connection: sa.Connection | None,
        stop: Stop,  # noqa: ARG002  a call cannot be left off in the middle
    ) -> Sequence[Result]:
        values = [as_python(row) for row in rows]
        answer = self._called(values, connection)
        if answer is None:
            return [None] * len(rows)
        if not isinstance(answer, list | tuple) or len(answer) != len(rows):
            shape = f"{len(answer)} results" if isinstance(answer, list | tuple) else type(answer).__name__
            raise HandlerError(
                f"{self._name} returned {shape} for {len(rows)} rows.",
                "return nothing, or a list with one result a row: None for done, a text for the reason it failed.",
            )
        return [self._result(one) for one in answer]

    def open(self, key: Sequence[str], warn: Callable[[str], None]) -> None:
        """It needs neither."""

    def close(self) -> None:
        """There is nothing to close."""

    def _called(self, values: list[dict[str, Any]], connection: sa.Connection | None) -> Any:
        try:
            return self._function(values, connection) if self.in_transaction else self._function(values)
        except Exception:
            raise
        except BaseException as error:  # a thread of ours calls it: no Ctrl-C of the user's comes this way
            said = reason_of(error)
            raise HandlerLeftError(f"the handler raised {type(error).__name__}{said and f': {said}'}") from error

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


def imported(reference: str) -> InPython:
    """The function that `package.module:function` names; UsageError where there is none."""
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
        raise UsageError(f'--call: "{path}" in "{module_name}" is no function.')
    return InPython(found, reference)


def _parameters(function: Function, name: str) -> int:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-in ones tell nothing
        return 1
    positional = [
        p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]  # fmt: skip
    required = [p for p in positional if p.default is p.empty]
    named = [p for p in signature.parameters.values() if p.kind == p.KEYWORD_ONLY and p.default is p.empty]
    if named or len(required) > 2 or not (positional or _takes_any(signature)):
        raise UsageError(f"{name} does not take (rows) or (rows, connection).")
    return 2 if len(required) == 2 else 1


def _takes_any(signature: inspect.Signature) -> bool:
    return any(p.kind == p.VAR_POSITIONAL for p in signature.parameters.values())
