"""What a person should know while a run goes on, a line each."""

from batchops.events import Event, Warned
from batchops.reporters import Warn
from batchops.reporters.figures import visible


class Warnings:
    """Says every warning as it comes."""

    def __init__(self, note: Warn) -> None:
        self._note = note

    def __call__(self, event: Event) -> None:
        if isinstance(event, Warned):
            self._note(f"warning: {visible(event.message)}")
