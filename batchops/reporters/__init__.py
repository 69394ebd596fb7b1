"""The listeners of a run: one file for each, a callable that takes an event."""

from collections.abc import Callable

from batchops.events import Emit, Event

Warn = Callable[[str], None]
"""Where a listener says that it cannot continue; one line, without its end."""


def everyone(listeners: list[Emit], warn: Warn) -> Emit:
    """One listener that tells all of these, in order; one that raises is dropped with a warning."""
    listening = list(listeners)

    def emit(event: Event) -> None:
        for listener in tuple(listening):
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - the work must not fail because telling about it does
                listening.remove(listener)
                warn(f"warning: {type(listener).__name__} stopped listening: {type(error).__name__}: {error}")

    return emit
