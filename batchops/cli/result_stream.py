"""Where a command's result goes, while code of the user's own may write to stdout as well."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from batchops.cli.command_state import command_state


def result() -> TextIO:
    """The stream for the command's result."""
    return command_state().result or sys.stdout


@contextlib.contextmanager
def others_on_stderr() -> Iterator[None]:
    """In the block, `print()` and child processes write to stderr: stdout is for what `result()` is given."""
    own, error, here = sys.stdout, sys.stderr, command_state()
    number, instead = _number(own), _number(error)
    with contextlib.ExitStack() as stack:
        if number is not None and instead is not None:
            here.result = stack.enter_context(_moved(own, number, instead))
        else:  # streams that no child process inherits
            here.result = own
        stack.enter_context(contextlib.redirect_stdout(error))
        try:
            yield
        finally:
            here.result = None


@contextlib.contextmanager
def _moved(own: TextIO, number: int, instead: int) -> Iterator[TextIO]:
    """A stream to where `own` led, whose number leads to `instead` until the block ends."""
    own.flush()
    kept = os.fdopen(os.dup(number), "w", encoding=own.encoding, errors=own.errors)
    os.dup2(instead, number)
    try:
        yield kept
    finally:
        with contextlib.suppress(OSError, ValueError):  # its reader may have gone away
            own.flush()
        with contextlib.suppress(OSError, ValueError):
            kept.flush()
        os.dup2(kept.fileno(), number)
        with contextlib.suppress(OSError):
            kept.close()


def _number(stream: TextIO | None) -> int | None:
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return None
