"""CommandState: whether a command has changed anything, its exit code, and the stream of its result."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

import rich_click as click

from batchops.events import Event, Finished, Started


class CommandState:
    """The state of one command, which listens to the events of the run."""

    def __init__(self) -> None:
        self.planning = False
        """Whether the command has changed nothing so far."""
        self.code: int | None = None
        """The exit code, once the end has been reported."""
        self.result: TextIO | None = None
        """The stream of the result while stdout is redirected to stderr; see `result`."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self.planning = False
        elif isinstance(event, Finished):
            self.code = event.exit

    @property
    def interrupted(self) -> str:
        """The message after Ctrl-C."""
        return "Interrupted; nothing was changed." if self.planning else "Interrupted."


def command_state() -> CommandState:
    """Return the state of the running command."""
    context = click.get_current_context(silent=True)
    found = context.find_object(CommandState) if context else None
    return found or CommandState()


def result() -> TextIO:
    """Return the stream for the command's result."""
    return command_state().result or sys.stdout


@contextlib.contextmanager
def others_on_stderr() -> Iterator[None]:
    """Let `print()` and child processes write to stderr in the block: stdout is only for the stream of `result()`."""
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
    """Yield a stream to the target of `own`, whose file descriptor is `instead`'s until the block ends."""
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
