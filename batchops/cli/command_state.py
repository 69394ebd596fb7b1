"""What a command has told its user so far, for whoever has to tell of an end that comes from outside."""

from typing import TextIO

import rich_click as click

from batchops.events import Event, Finished, Started


class CommandState:
    """One for each command line; hears the events of the run, where there is one."""

    def __init__(self) -> None:
        self.planning = False
        """Whether the command has read only, and knows it."""
        self.code: int | None = None
        """The exit code, once the end of all has been told."""
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
    """That of the command at work."""
    context = click.get_current_context(silent=True)
    found = context.find_object(CommandState) if context else None
    return found or CommandState()
