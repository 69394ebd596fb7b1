"""watch(): draws the list of runs every second, for batchops runs --watch."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from batchops import durations
from batchops.cli.run_view import all_tables, moment, progress
from batchops.errors import BatchopsError
from batchops.ledger.history import Recorded
from batchops.reporters.figures import count, rate, visible

if TYPE_CHECKING:
    from rich.console import RenderableType

EVERY = 1.0
"""Seconds between two readings of the ledger."""
_COLUMNS = ("RUN", "VERB", "TABLE", "STATE", "PROGRESS", "ROWS", "RATE", "HEARTBEAT", "PROCESS", "SINCE", "WAITING")
_STYLES = {"running": "green", "paused": "yellow", "stale": "red", "crashed": "red", "failed": "red"}


def watch(load: Callable[[], Sequence[Recorded]]) -> None:
    """Draw the runs until Ctrl-C; an error of the ledger is shown below the last list."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    runs: Sequence[Recorded] = ()
    with Live(auto_refresh=False) as live:
        try:
            while True:
                trouble = ""
                try:
                    runs = load()
                except BatchopsError as error:
                    trouble = error.message
                live.update(Group(table(runs), Text(visible(trouble), style="red")), refresh=True)
                time.sleep(EVERY)
        except KeyboardInterrupt:
            return


def table(runs: Sequence[Recorded]) -> "RenderableType":
    """Return a table with a line for each run."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        drawn.add_column(name, overflow="fold" if name == "WAITING" else "ellipsis", no_wrap=name != "WAITING")
    for recorded in runs:
        cells = [Text(visible(text)) for text in _cells(recorded)]
        cells[3].stylize(_STYLES.get(recorded.state, "dim"))
        drawn.add_row(*cells)
    return drawn


def _cells(recorded: Recorded) -> tuple[str, ...]:
    run, holder = recorded.run, recorded.holder
    here = holder if run.state == "running" else None
    job = f" ({run.by['job']})" if run.by.get("job") else ""
    return (
        str(run.run), run.verb, run.table + job, recorded.state, progress(recorded), count(run.rows) + all_tables(run),
        "" if recorded.rate is None else rate(recorded.rate),
        f"{durations.show(round(here.silent))} ago" if here else "",
        f"{here.owner.user}@{here.owner.host} {here.owner.pid}" if here else "",
        moment(run.started_at) or "", recorded.waiting,
    )  # fmt: skip
