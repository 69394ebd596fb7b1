"""The reporters, which listen to a run's events: one file for each, with a callable that takes an event."""

from collections.abc import Callable

from batchops.events import Emit, Event

Warn = Callable[[str], None]
"""Called by a listener that cannot continue, with one line of text."""


def everyone(listeners: list[Emit], warn: Warn) -> Emit:
    """Return a listener that passes events to all of these, in order; one that raises is dropped with a warning."""
    listening = list(listeners)

    def emit(event: Event) -> None:
        for listener in tuple(listening):
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - the work must not fail because a report of it does
                listening.remove(listener)
                warn(f"warning: {type(listener).__name__} stopped listening: {type(error).__name__}: {error}")

    return emit
