"""ProgressLine: a line on a terminal with a run's progress, speed, time left, and why it waits."""

import time
from typing import TYPE_CHECKING, TextIO

from batchops import durations
from batchops.events import Event, Finished, Started
from batchops.reporters import figures
from batchops.reporters.progress import Clock, Progress
from batchops.reporters.safe_streams import SafeStream

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

_FRAMES_A_SECOND = 8
_SHORTEST_BAR, _LONGEST_BAR = 8, 30
_PAUSE_ROOM = 36
"""How many columns the text of a pause may take from the figures; it gets more only where they leave room."""


class ProgressLine:
    """Draws the line until Finished, then removes it; a thread draws, so that batches never wait for it."""

    def __init__(self, stream: TextIO | None, clock: Clock = time.monotonic) -> None:
        self._out = SafeStream(stream)
        self._progress = Progress(clock)
        self._live: Live | None = None

    def __call__(self, event: Event) -> None:
        self._progress(event)
        match event:
            case Started():
                self._start()
            case Finished():
                self.close()

    def say(self, text: str) -> None:
        """Write a line above the progress line, or just a line if none is drawn."""
        if self._live is None:
            self._out.line(figures.visible(text))
        else:
            self._live.console.print(figures.visible(text), markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Remove the line and leave the terminal as it was; may be called again."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _start(self) -> None:
        from rich.console import Console
        from rich.live import Live

        if self._live is not None:
            return
        console = Console(file=self._out)  # type: ignore[arg-type]  # rich only calls write, flush and isatty
        self._live = Live(
            console=console,
            get_renderable=lambda: render(self._progress, console.width),
            refresh_per_second=_FRAMES_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        # A process that is killed with -9 could not show a hidden cursor again.
        console.show_cursor(True)


def render(progress: Progress, width: int) -> "Text":
    """Return the line for `width` columns; it leaves out the least important parts first and never wraps."""
    from rich.text import Text

    room, pause = width - 1, progress.pause()
    claimed = len(pause) + 2 if pause else 0
    parts = _chosen(progress, room - min(claimed, _PAUSE_ROOM, room // 2))
    spare = room - _length(parts) - claimed
    line = Text(no_wrap=True, overflow="ellipsis", end="")
    for name, text in parts:
        line.append("  " if line else "").append(text, style=_STYLES.get(name, ""))
        if name == "table" and (share := progress.share()) is not None and spare >= _SHORTEST_BAR + 2:
            _bar(line, share, min(spare - 2, _LONGEST_BAR))
    if pause:
        line.append("  " if line else "").append(pause, style="yellow")
    line.truncate(room, overflow="ellipsis")
    return line


_STYLES = {"table": "bold", "rejected": "red", "share": "cyan", "left": "cyan", "batch": "dim"}
_BY_WEIGHT = ("rows", "share", "rejected", "left", "speed", "backlog", "table", "estimate", "batch")


def _chosen(progress: Progress, room: int) -> list[tuple[str, str]]:
    """Return the parts that fit, in reading order; the most important ones are chosen first."""
    parts, kept = _parts(progress), list[str]()
    for name in _BY_WEIGHT:
        if name in parts and _length([(each, parts[each]) for each in (*kept, name)]) <= room:
            kept.append(name)
    if "estimate" in kept:
        parts["rows"] += parts.pop("estimate")
    return [(name, text) for name, text in parts.items() if name in kept]


def _length(parts: list[tuple[str, str]]) -> int:
    return sum(len(text) for _, text in parts) + 2 * max(len(parts) - 1, 0)


def _parts(progress: Progress) -> dict[str, str]:
    started, batch = progress.started, progress.batch
    if started is None:
        return {}
    share, left, speed, expected = progress.share(), progress.seconds_left(), progress.speed(), progress.expected()
    parts = {
        "table": f"{started.verb} {figures.visible(started.table)}",
        "share": "? %" if share is None else figures.percent(share),
        "rows": figures.counted(progress.rows, "row"),
        "estimate": "" if expected is None else f" of {_expected(*expected)}",
        "rejected": f"{figures.count(progress.rejected)} rejected" if progress.rejected else "",
        "speed": "?/s" if speed is None else figures.rate(speed),
        "backlog": progress.backlog(),
        "left": "? left" if left is None else f"{durations.show(max(left, 1.0) // 1)} left",
        "batch": f"batch {figures.count(batch.size)} in {durations.show(batch.seconds)}" if batch else "",
    }
    return {name: text for name, text in parts.items() if text}


def _expected(rows: int, counted: bool) -> str:
    return figures.count(rows) if counted else f"~{figures.rough(rows)}"


def _bar(line: "Text", share: float, width: int) -> None:
    done = int(share * width)
    line.append("  ").append("━" * done, style="cyan").append("─" * (width - done), style="dim")
