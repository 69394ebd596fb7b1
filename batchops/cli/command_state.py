"""What a command has printed so far, needed to report an interruption or an error."""

from typing import TextIO

import rich_click as click

from batchops.events import Event, Finished, Started


class CommandState:
    """The state of one command; it listens to the events of the run."""

    def __init__(self) -> None:
        self.planning = False
        """Whether the command has changed nothing so far."""
        self.code: int | None = None
        """The exit code, once the end was reported."""
        self.result: TextIO | None = None
        """Where the result goes, while stdout is another's; see `result`."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self.planning = False
        elif isinstance(event, Finished):
            self.code = event.exit

    @property
    def interrupted(self) -> str:
        """What Ctrl-C has interrupted, in words."""
        return "Interrupted; nothing was changed." if self.planning else "Interrupted."


def command_state() -> CommandState:
    """The state of the command that runs."""
    context = click.get_current_context(silent=True)
    found = context.find_object(CommandState) if context else None
    return found or CommandState()
