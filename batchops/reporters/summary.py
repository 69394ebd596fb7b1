"""The summary of a run: a paragraph on a terminal, a line elsewhere."""

from collections.abc import Iterator, Sequence
from typing import TextIO

from batchops import durations
from batchops.errors import Exit
from batchops.events import Emit, Event, Failure, Finished
from batchops.finished_details import Cause, Families, SpaceLeft
from batchops.reporters import figures
from batchops.reporters.progress import Progress
from batchops.reporters.safe_streams import SafeStream
from batchops.runtime.causes import counted_cause, shown_causes

_REASONS = {
    "done": "done",
    "dry-run": "dry run, nothing was changed",
    "max-rows": "ended by --max-rows",
    "max-total": "ended by --max-total",
    "max-time": "ended by --max-time",
    "max-batches": "ended by --max-batches",
    "window": "ended by --window",
    "stopped": "stopped as requested",
    "declined": "declined, nothing was changed",
    "failed": "failed",
    "usage": "not started, because of a flag or value",
    "incomplete": "finished, but incomplete",
    "max-rejected": "stopped, too many rows were refused",
    "unreachable": "cannot connect",
    "not-found": "there is no such table",
    "locked": "another run of the same job is running",
    "refused": "refused before the first write",
    "integrity": "stopped, as something is not what it should be",
    "busy": "gave up for now, try again later",
}

_UNDERWAY = {
    "usage": "stopped, as a flag or value is wrong",
    "not-found": "stopped, something that it needs is gone",
    "locked": "stopped, another process has taken the run over",
    "refused": "stopped by a safety check",
}
"""The texts of reasons that end a run after its first batch, where those of _REASONS speak of a start."""

_SIGNALS = {Exit.HANGUP: "SIGHUP", Exit.INTERRUPT: "SIGINT", Exit.TERMINATED: "SIGTERM"}

_UNTOUCHED = {"already-done", "dry-run", "declined", "usage", "unreachable", "not-found", "locked", "refused", "window"}
"""The reasons to end before the first batch, for which figures would say nothing."""


class SummaryLine:
    """Writes one plain line at the end, and the lines of the error if there is one."""

    def __init__(self, stream: TextIO | None) -> None:
        self._out = SafeStream(stream)
        self._progress = Progress()

    def __call__(self, event: Event) -> None:
        self._progress(event)
        if isinstance(event, Finished):
            self._out.line(ended_line(event, self._progress))
            for line in error_lines(event.error) if event.error else ():
                self._out.line(line)


class SummaryParagraph:
    """Writes a paragraph for a person at the end."""

    def __init__(self, stream: TextIO | None) -> None:
        self._out = SafeStream(stream)
        self._progress = Progress()

    def __call__(self, event: Event) -> None:
        self._progress(event)
        if isinstance(event, Finished):
            self._write(event)

    def _write(self, finished: Finished) -> None:
        from rich.console import Console
        from rich.text import Text

        console = Console(file=self._out, highlight=False)  # type: ignore[arg-type]  # rich only calls write and flush
        # Soft wrap: line breaks of the terminal are not copied with a command, but those of rich would be.
        console.print(Text(_headline(finished, self._progress), style="bold"), soft_wrap=True)
        for name, text in _details(finished, self._progress):
            console.print(Text.assemble("  ", (f"{name:<10}", "dim"), text), soft_wrap=True)
        for line in error_lines(finished.error) if finished.error else ():
            style = "bold red" if line.startswith("error: ") else ""
            console.print(Text(line, style=style), soft_wrap=True)


def unless_well(listener: Emit) -> Emit:
    """Return the listener for `--quiet`, which gets no event of an end that is good or was asked for."""

    def emit(event: Event) -> None:
        well = isinstance(event, Finished) and event.exit in {Exit.DONE, Exit.NOTHING, Exit.LIMIT}
        # With a window that was never open the exit code is that of a success, though nothing was done.
        if not well or (isinstance(event, Finished) and event.reason == "window" and not event.batches):
            listener(event)

    return emit


def error_lines(error: Failure) -> Iterator[str]:
    """Yield `error: …` and `hint: …`; further lines are indented, so that none looks like another message."""
    yield "error: " + _indented(error.message)
    if error.hint:
        yield "hint: " + _indented(error.hint)


def in_one_line(error: Failure) -> str:
    """Return the message and the hint in one line."""
    hint = f" Hint: {error.hint}" if error.hint else ""
    return " ".join((error.message.rstrip(".") + "." + hint).split("\n"))


def _indented(text: str) -> str:
    return "\n  ".join(figures.visible(line) for line in text.strip().splitlines())


def ended_line(finished: Finished, progress: Progress) -> str:
    """Return how a run ended in one line, without the error."""
    parts = [f"{_name(finished)}: {why(finished)}"]
    if not _untouched(finished):
        parts += [f": {_rows(finished)} in {durations.show(finished.seconds)}", *_figures(finished, progress)]
        parts += [f": {figures.visible(shown_causes(unsaid))}"] if (unsaid := _unsaid_causes(finished)) else []
        parts += [f", {figures.count(finished.left)} left"] if finished.left else []
        parts += [f"; {text}" for name, text in _archive_lines(finished) if name in ("to", "unsealed")]
        families = finished.families
        parts += [f" ({by_table})"] if families and (by_table := figures.by_table(families.tables)) else []
        parts += [f", {figures.counted(families.begun, 'row')} begun"] if families and families.begun else []
    parts += [f"; to continue: {figures.visible(finished.next)}"] if finished.next else []
    return "".join(parts)


def _untouched(finished: Finished) -> bool:
    return finished.reason in _UNTOUCHED and not finished.batches


def _headline(finished: Finished, progress: Progress) -> str:
    if _untouched(finished):
        return f"{_name(finished)}: {why(finished)}"
    done = f"{_name(finished)}: {_rows(finished)} in {durations.show(finished.seconds)}"
    return done + "".join(_figures(finished, progress))


def _name(finished: Finished) -> str:
    return f"{finished.verb} {figures.visible(finished.table)}".strip()


def _rows(finished: Finished) -> str:
    return f"{figures.counted(finished.rows, 'row')} {finished.participle}"


def _figures(finished: Finished, progress: Progress) -> Iterator[str]:
    changed = finished.rows - progress.earlier
    if finished.seconds > 0 and changed > 0:
        yield f" ({figures.rate(changed / finished.seconds)})"
    for number, one, many in (
        (finished.batches, "batch", "batches"),
        (finished.retries, "retry", "retries"),
        (finished.rejected, "row rejected", "rows rejected"),
        (finished.locked, "row locked", "rows locked"),
    ):
        if number:
            yield f", {figures.counted(number, one, many)}"
    if finished.restored is not None and finished.restored.skipped:
        yield f", {figures.counted(finished.restored.skipped, 'row')} skipped"
    details = finished.drained or finished.relayed
    if details is not None and details.failed:
        yield f", {figures.counted(details.failed, 'attempt failed', 'attempts failed')}"


def why(finished: Finished) -> str:
    """Return in words why a run ended."""
    if finished.reason == "signal":
        name = next((name for code, name in _SIGNALS.items() if code == finished.exit), "a signal")
        return f"ended by {name}"
    if finished.reason == "already-done":
        return f"already done by run {finished.run} at {finished.done_at}, nothing was changed; --restart does it again"
    if finished.reason == "done" and not finished.rows:
        if finished.drained is not None and finished.drained.waiting:
            return f"done, nothing is due: {figures.counted(finished.drained.waiting, 'row waits', 'rows wait')}"
        return "done, nothing to do"
    if finished.reason == "window" and not finished.batches:
        return "not started, as --window is closed now"
    if finished.batches and finished.reason in _UNDERWAY:
        return _UNDERWAY[finished.reason]
    return _REASONS.get(finished.reason, finished.reason)


def _details(finished: Finished, progress: Progress) -> Iterator[tuple[str, str]]:
    """Yield the further lines of the paragraph, each with a name and a text."""
    if not _untouched(finished):
        yield "ended", why(finished)
        if progress.earlier:
            yield (
                "resumed",
                f"{figures.counted(progress.earlier, 'row')} of them by an earlier process of this run",
            )
        if shares := _shares(progress):
            yield "time", shares
    if finished.families is not None:
        yield from _family_lines(finished.families)
    if finished.cutoff:
        yield "cut-off", figures.visible(finished.cutoff)
    yield from _cause_lines(finished)
    if finished.locked:
        yield "locked", f"{figures.counted(finished.locked, 'row')} stayed locked by other sessions"
    if finished.left:
        still = "matches" if finished.left == 1 else "match"
        yield "left", f"{figures.counted(finished.left, 'row')} still {still}"
    yield from _archive_lines(finished)
    if finished.space is not None and (space := _space(finished.space)):
        yield "space", figures.visible(space)
    if finished.next:
        yield "continue", figures.visible(finished.next)


def _archive_lines(finished: Finished) -> Iterator[tuple[str, str]]:
    """Yield where the archived rows are, and the commands that read them back."""
    archived = finished.archived
    if archived is None or _untouched(finished):
        return
    files = ""
    if archived.segments is not None:
        files = f": {figures.counted(archived.segments, 'file')}, {figures.rough(archived.bytes or 0)}B"
    yield "to", figures.visible(f"{archived.to}{files}")
    if archived.partitions:
        yield "dropped", figures.counted(archived.partitions, "partition")
    if archived.unsealed:
        yield "unsealed", f"{figures.counted(archived.unsealed, 'row')} not sealed yet; the same command seals them"
    for name, command in (("verify", archived.verify), ("restore", archived.restore)):
        if command:
            yield name, figures.visible(command)


def _family_lines(families: Families) -> Iterator[tuple[str, str]]:
    """Yield the rows by table, and the parents of which only some children are deleted."""
    if tables := figures.by_table(families.tables):
        yield "tables", tables
    if families.begun:
        yield "begun", f"{figures.counted(families.begun, 'row')} with some children gone already; they go first"
    if families.partial:
        yield (
            "partial",
            f"{figures.counted(families.partial, 'row')} with some children gone; they stay with the others",
        )


def _space(space: SpaceLeft) -> str:
    freed = ""
    if space.freed_bytes:
        freed = f"{figures.rough(space.freed_bytes)}B freed ({space.freed_basis})"
    parts = [
        freed,
        "" if space.bytes is None else f"takes {figures.rough(space.bytes)}B",
        f"{figures.rough(space.free_bytes)}B of it free for new rows" if space.free_bytes else "",
        f"about {figures.counted(space.dead_rows, 'dead row')} until VACUUM" if space.dead_rows else "",
    ]
    said = ", ".join(part for part in parts if part)
    returned = f"{space.returned_by} returns space to the disk" if space.returned_by else ""
    return "; ".join(part for part in (said, returned) if part)


def _shares(progress: Progress) -> str:
    spent = {
        "working": progress.working, "sleeping": progress.sleeping, "throttled": progress.throttled,
        "retrying": progress.retrying,
    }  # fmt: skip
    whole = sum(spent.values())
    if whole <= 0:
        return ""
    return ", ".join(f"{round(part / whole * 100)} % {name}" for name, part in spent.items() if part > 0)


def _causes(finished: Finished) -> Sequence[Cause]:
    details = finished.drained or finished.relayed
    return finished.rejected_causes if details is None else details.causes


def _unsaid_causes(finished: Finished) -> list[Cause]:
    """Return the causes that the error does not mention."""
    said = finished.error.message if finished.error else ""
    return [one for one in _causes(finished) if one.reason.rstrip(".") not in said]


def _cause_lines(finished: Finished) -> Iterator[tuple[str, str]]:
    of_rows = finished.drained is None and finished.relayed is None
    name = "rejected" if of_rows else "failed"
    yield from ((name, figures.visible(counted_cause(one))) for one in _unsaid_causes(finished))
    more = finished.rejected - sum(one.attempts for one in finished.rejected_causes)
    if of_rows and finished.error is None and more > 0:
        yield name, f"and {figures.counted(more, 'more row')}"
