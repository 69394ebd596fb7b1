"""Something that happens to the table while a run is between two batches."""

from collections.abc import Callable

from batchops.events import Committed


def at_batch(number: int, act: Callable[[], object]) -> Callable[[object], None]:
    """An event listener that acts between two batches, once."""
    seen: list[object] = []

    def listen(event: object) -> None:
        if isinstance(event, Committed):
            seen.append(event)
            if len(seen) == number:
                act()

    return listen
