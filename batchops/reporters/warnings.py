"""Warnings: writes a line for each warning while a run works."""

import signal

from batchops.events import Event, Stopping, Warned
from batchops.reporters import Warn
from batchops.reporters.figures import visible


class Warnings:
    """Writes each warning as it comes, and a line in answer to a signal."""

    def __init__(self, note: Warn) -> None:
        self._note = note

    def __call__(self, event: Event) -> None:
        match event:
            case Warned():
                self._note(f"warning: {visible(event.message)}")
            case Stopping():
                self._note(stopping(event))


def stopping(event: Stopping) -> str:
    """Return what the run does after a signal, and what a second signal would do."""
    if event.hurried:
        return "Rolling this batch back." if event.undone else "Stopping without this batch."
    second = "rolls it back" if event.undone else "cuts it off"
    if event.signal == signal.SIGINT:
        return f"Stopping after this batch; Ctrl-C again {second}."
    return f"{signal.Signals(event.signal).name}: stopping after this batch; a second signal {second}."
