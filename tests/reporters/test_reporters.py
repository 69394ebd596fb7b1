"""Those who listen to a run: what they say, and that no stream can make them fail."""

import errno
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from batchops.errors import UsageError
from batchops.events import (
    SLEEP,
    Backlog,
    Committed,
    Copied,
    Event,
    Failure,
    Finished,
    Rejected,
    Retried,
    Started,
    Throttled,
)
from batchops.finished_details import Cause, Drained
from batchops.reporters import everyone, figures
from batchops.reporters.console import ProgressLine, render
from batchops.reporters.document import FIELDS, JsonDocument, document, event_values
from batchops.reporters.event_file import EventFile
from batchops.reporters.plain_lines import ProgressLines, progress_line
from batchops.reporters.progress import Progress
from batchops.reporters.safe_streams import SafeStream
from batchops.reporters.summary import SummaryLine, SummaryParagraph, unless_well
from batchops.runtime.causes import shown_causes

EVIL = "\x1b]0;owned\x07\r\nerror: forged\x9b2J\u202e"

STARTED = Started(
    17, "purge", "events", "key", False, table_rows=1_000_000, estimate=400_000, counts_read=True, removes=True
)  # fmt: skip
DONE = Finished(
    "purge", "events", "done", 0, "0.1.0",
    run=17, strategy="key", rows=1_234_567, read=2_000_000, batches=243, retries=2, seconds=123.45678,
    participle="deleted",
)  # fmt: skip


CAUSES = (Cause("violates fk", 7, ("id=5", "id=6", "id=9")), Cause("no", 1, ("id=7",)))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    """A stream whose other end is gone, or whose disk is full."""

    def __init__(self, number: int = errno.EPIPE) -> None:
        super().__init__()
        self.number = number
        self.tries = 0

    def write(self, _: str) -> int:
        self.tries += 1
        raise OSError(self.number, os.strerror(self.number))


def at_work(clock: Clock, started: Started = STARTED, batches: int = 20) -> Progress:
    """A run that deletes half of what it reads, 1,000 rows a batch, a batch a second."""
    stats = Progress(clock)
    stats(started)
    for _ in range(batches):
        clock.now += 1
        stats(Committed(rows=1000, read=2000, seconds=0.05, size=1000))
    return stats


def drawn(stats: Progress, width: int) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system=None, width=width)
    console.print(render(stats, width), end="")
    return out.getvalue()


# --- the line


def test_the_line_shows_how_far_how_fast_and_how_long_still() -> None:
    line = drawn(at_work(Clock(), batches=100), 120)
    for part in (
        "purge events",
        "20 %",
        "100,000 rows of ~",
        "1.0 k/s",
        "6 min 40 s left",
        "batch 1,000 in 50 ms",
    ):
        assert part in line


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 120, 200])
def test_the_line_never_wraps(width: int) -> None:
    clock = Clock()
    stats = at_work(clock, replace(STARTED, table="a_rather_long_name_of_a_table_" * 3))
    for pause in (
        None,
        Throttled("replica-1 is 31 s behind, more than 10 s " * 3, 60.0),
        Retried("deadlock " * 30, 1, 2.0),
    ):
        if pause:
            stats(pause)
        line = drawn(stats, width)
        assert "\n" not in line
        assert len(line) < width
        assert "20,000" in line or width < 40


def test_on_80_columns_the_pause_and_the_essentials_stay() -> None:
    clock = Clock()
    stats = at_work(clock)
    stats(Retried("deadlock detected: Process 4711 waits for ShareLock", 1, 2.1))
    line = drawn(stats, 80)
    for part in ("4 %", "20,000 rows", "left", "retrying in 2.1 s: deadlock detected"):
        assert part in line


def test_a_pause_is_counted_down_and_goes() -> None:
    clock = Clock()
    stats = at_work(clock)
    stats(Throttled(SLEEP, 0.1))
    assert stats.pause() == "sleeping 100 ms"
    clock.now += 0.9
    assert stats.pause() == "sleeping 100 ms"
    clock.now += 0.2
    assert stats.pause() == ""
    stats(Retried("deadlock", 1, 5.0))
    clock.now += 3
    assert stats.pause() == "retrying in 2 s: deadlock"
    stats(Throttled("outside window", 60.0))
    assert stats.pause() == "throttled: outside window"


def test_rows_on_their_way_into_a_bucket_are_shown_until_the_next_batch() -> None:
    stats = at_work(Clock())
    stats(Copied(30_000, 2_100_000, uploading=False))
    assert stats.pause() == "copying 30,000 rows (2.1 MB)"
    stats(Copied(1, 70, uploading=True))
    assert stats.pause() == "uploading 1 row (70B)"
    stats(Committed(1, 1, 0.1, 1))
    assert stats.pause() == ""


def test_what_is_unknown_is_a_question_mark() -> None:
    stats = at_work(Clock(), replace(STARTED, table_rows=None, estimate=None))
    line = drawn(stats, 120)
    assert "? %" in line
    assert "? left" in line
    assert "~" not in line


def test_statistics_that_proved_too_low_are_not_believed() -> None:
    stats = at_work(Clock(), replace(STARTED, table_rows=10_000))
    assert stats.share() is None
    assert stats.seconds_left() is None


def test_the_total_is_the_plans_and_never_climbs() -> None:
    """Rows that stand close together at the beginning say nothing of those to come."""
    clock = Clock()
    for batches in (1, 100, 400):
        assert at_work(clock, batches=batches).expected() == (400_000, False)
    assert " of ~400 k" in drawn(at_work(clock, batches=100), 120)
    assert at_work(clock, batches=401).expected() is None
    assert at_work(clock, replace(STARTED, estimate=None), batches=1).expected() is None
    counted = at_work(clock, replace(STARTED, counted=True, rows=1_000), batches=1)
    assert "2,000 rows of 401,000" in drawn(counted, 120)


def test_the_last_batch_is_the_whole_and_rows_read_twice_are_not_more() -> None:
    assert at_work(Clock(), batches=500).share() == 1
    assert "99 %" in drawn(at_work(Clock(), batches=501), 120)


def test_a_further_pass_begins_its_way_anew() -> None:
    clock = Clock()
    stats = at_work(clock, batches=500)
    clock.now += 1
    stats(Committed(rows=0, read=100_000, seconds=1.0, size=1000, pass_number=1))
    assert stats.share() == 0.99
    assert stats.seconds_left() == pytest.approx(9, rel=0.01)
    assert stats.rows == 500_000


@pytest.mark.parametrize(
    ("limit", "share", "left"),
    [({"max_rows": 40_000}, 0.5, 20), ({"max_batches": 25}, 0.8, 5), ({"max_seconds": 40.0}, 0.5, 20)],
    ids=["rows", "batches", "seconds"],
)
def test_a_limit_ends_the_way_where_it_comes_first(limit: dict[str, float], share: float, left: float) -> None:
    stats = at_work(Clock(), replace(STARTED, rows=7_000, **limit))  # type: ignore[arg-type]
    assert stats.share() == pytest.approx(share)
    assert stats.seconds_left() == pytest.approx(left, rel=0.05)
    assert stats.expected() == ((47_000, True) if "max_rows" in limit else (407_000, False))


def test_pauses_are_in_the_time_that_is_left() -> None:
    """A batch takes 50 ms and its pause 950 ms: 490,000 rows to read at 2,000 a second."""
    stats = at_work(Clock(), replace(STARTED, table_rows=1_020_000), batches=20)
    assert stats.seconds_left() == pytest.approx(490, rel=0.01)


def test_a_queue_that_was_counted_says_how_much_is_to_come() -> None:
    clock = Clock()
    stats = at_work(clock, replace(STARTED, verb="drain", strategy="claims", estimate=1_000, counts_read=False))
    assert stats.share() is None
    stats(Backlog(30_000, 500, 0, None, 0, 0))
    assert (stats.share(), stats.seconds_left()) == (0.4, pytest.approx(30, rel=0.01))
    assert stats.expected() is None
    stats(Committed(rows=1000, read=1000, seconds=0.05, size=1000))
    assert stats.backlog() == "backlog 29,000"


def test_rejected_rows_are_shown_as_they_come() -> None:
    stats = at_work(Clock())
    stats(Rejected("id=7", "veto"))
    assert "1 rejected" in drawn(stats, 100)
    assert "20,000 rows (4 % done), 1 rejected, 1.0 k/s" in progress_line(stats)


def test_the_index_strategy_counts_rows_not_the_table() -> None:
    stats = at_work(Clock(), replace(STARTED, strategy="match", estimate=40_000, counts_read=False))
    assert stats.share() == 0.5
    assert stats.seconds_left() == pytest.approx(20, rel=0.1)


def test_where_the_tables_size_is_unknown_rows_of_the_plan_tell() -> None:
    """A file of SQLite that was never analysed has no statistics; its plan counts or samples."""
    stats = at_work(Clock(), replace(STARTED, table_rows=None, estimate=40_000, counted=True))
    assert stats.share() == 0.5
    assert stats.seconds_left() == pytest.approx(20, rel=0.1)
    assert "50 %" in drawn(stats, 120)


def test_a_resumed_run_counts_from_where_it_was_but_its_speed_is_its_own() -> None:
    stats = at_work(Clock(), replace(STARTED, resumed=True, rows=300_000, read=600_000))
    assert stats.rows == 320_000
    assert stats.share() == pytest.approx(640_000 / 1_300_000)
    assert stats.speed() == pytest.approx(1000, rel=0.01)


def test_speed_falls_while_nothing_is_committed() -> None:
    clock = Clock()
    stats = at_work(clock)
    clock.now += 60
    assert stats.speed() == 0.0


def test_the_line_on_a_terminal_comes_and_goes() -> None:
    out = Terminal()
    line = ProgressLine(out)
    for event in (STARTED, Committed(500, 1000, 0.05, 500)):
        line(event)
    line.say(f"warning: {EVIL}")
    line(DONE)
    line.close()
    assert "purge events" in out.getvalue()
    assert "warning: \\x1b]0;owned\\x07\\r\\nerror: forged\\x9b2J\\u202e" in out.getvalue()
    assert "\x1b]0" not in out.getvalue()
    assert out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("\x1b[?25l")


# --- plain lines


def test_plain_lines_come_at_their_interval() -> None:
    out, clock = io.StringIO(), Clock()
    lines = ProgressLines(out, timedelta(seconds=30), clock)
    lines(STARTED)
    for _ in range(65):
        clock.now += 1
        lines(Committed(1000, 2000, 0.05, 1000))
    lines(DONE)
    first, second = out.getvalue().splitlines()
    assert first == ("purge events: after 30 s: 30,000 rows (6 % done), 1.0 k/s, 7 min 50 s left, batch 1,000 in 50 ms")
    assert second.startswith("purge events: after 1 min: 60,000 rows")


# --- the end


def line_of(finished: Finished, *before: Event) -> str:
    out = io.StringIO()
    summary = SummaryLine(out)
    for event in (*before, finished):
        summary(event)
    return out.getvalue()


def paragraph_of(finished: Finished, *before: Event) -> str:
    out = io.StringIO()
    summary = SummaryParagraph(out)
    for event in (*before, finished):
        summary(event)
    return out.getvalue()


def test_one_line_where_nobody_watches() -> None:
    assert line_of(DONE) == (
        "purge events: done: 1,234,567 rows deleted in 2 min 03 s (10.0 k/s), 243 batches, 2 retries\n"
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"reason": "max-rows", "left": 7, "next": "batchops purge …"},
            "ended by --max-rows: 1,234,567 rows deleted",
        ),
        (
            {"reason": "max-rows", "left": 7, "next": "batchops purge …"},
            ", 7 left; to continue: batchops purge …\n",
        ),
        ({"reason": "signal", "exit": 130}, "ended by SIGINT: "),
        ({"reason": "signal", "exit": 0}, "ended by a signal: "),
        ({"reason": "done", "rows": 0}, "done, nothing to do"),
        ({"reason": "dry-run", "rows": 0, "batches": 0}, "purge events: dry run, nothing was changed\n"),
        ({"reason": "incomplete", "rejected": 1, "locked": 2}, "1 row rejected, 2 rows locked"),
        ({"reason": "a word of later"}, "purge events: a word of later: "),
    ],
)
def test_every_end_has_its_words(changes: dict[str, object], says: str) -> None:
    assert says in line_of(replace(DONE, **changes))  # type: ignore[arg-type]


def test_an_error_brings_its_hint() -> None:
    failure = Failure("refused", 'Table "events" has triggers.', "--allow triggers")
    text = line_of(replace(DONE, reason="refused", exit=12, rows=0, batches=0, error=failure))
    assert text.splitlines() == [
        "purge events: refused before the first write",
        'error: Table "events" has triggers.',
        "hint: --allow triggers",
    ]


def test_the_paragraph_tells_where_the_time_went_and_how_to_go_on() -> None:
    finished = replace(
        DONE, reason="incomplete", exit=3, rejected=12, cutoff="2026-01-01 00:00:00+00:00", left=1, locked=1,
        next="batchops purge events --where " + "'x' " * 40, rejected_causes=CAUSES,
    )  # fmt: skip
    before = (
        replace(STARTED, rows=1_000_000),
        Committed(1, 1, 6.0, 1),
        Throttled(SLEEP, 3.0),
        Retried("deadlock", 1, 1.0),
    )
    lines = paragraph_of(finished, *before).splitlines()
    assert lines[0].startswith("purge events: 1,234,567 rows deleted in 2 min 03 s (1.9 k/s), 243 batches, 2 retries")
    assert lines[1:] == [
        "  ended     finished, but incomplete",
        "  resumed   1,000,000 rows of them by an earlier process of this run",
        "  time      60 % working, 30 % sleeping, 10 % retrying",
        "  cut-off   2026-01-01 00:00:00+00:00",
        "  rejected  7 × violates fk (id=5, id=6, id=9 …)",
        "  rejected  1 × no (id=7)",
        "  rejected  and 4 more rows",
        "  locked    1 row stayed locked by other sessions",
        "  left      1 row still matches",
        "  continue  " + finished.next,  # type: ignore[operator]  # set above
    ]


@pytest.mark.parametrize("text_of", [line_of, paragraph_of])
def test_reasons_are_told_once_by_the_error_or_beside_it(text_of: Callable[[Finished], str]) -> None:
    drained = Drained(9, 8, 0, 0, 0, None, None, None, None, CAUSES)
    for finished in (
        replace(DONE, rejected=8, rejected_causes=CAUSES),
        replace(DONE, drained=drained),
        replace(DONE, rejected=8, rejected_causes=CAUSES, error=Failure("busy", "gave up")),
        replace(DONE, rejected=8, rejected_causes=CAUSES, error=Failure("incomplete", shown_causes(CAUSES))),
        replace(DONE, drained=drained, error=Failure("incomplete", f"1 of 9 done: {shown_causes(CAUSES)}")),
    ):
        text = text_of(finished)
        told = [text.count(said) for said in ("7 × violates fk (id=5, id=6, id=9 …)", "no (id=7)")]
        assert told == [1, 1], text


@pytest.mark.parametrize("text_of", [line_of, paragraph_of])
def test_no_text_steers_the_terminal_or_forges_a_line(text_of: object) -> None:
    finished = replace(
        DONE, table=EVIL, cutoff=EVIL, next=EVIL, rejected=1, rejected_causes=(Cause(f"no: {EVIL}", 1, (EVIL,)),),
        error=Failure("failed", EVIL, EVIL),
    )  # fmt: skip
    text = text_of(finished)  # type: ignore[operator]  # one of the two functions above
    assert not {letter for letter in text if not letter.isprintable()} - {"\n"}
    assert not any(line.startswith("error: forged") for line in text.splitlines())


def test_markup_in_a_name_is_text() -> None:
    assert "[red]x[/red]" in paragraph_of(replace(DONE, table="[red]x[/red]"))


def test_quiet_hears_only_of_what_went_wrong() -> None:
    heard: list[Event] = []
    quiet = unless_well(heard.append)
    for event in (
        STARTED,
        DONE,
        replace(DONE, reason="max-rows", exit=5),
        replace(DONE, reason="busy", exit=75),
    ):
        quiet(event)
    assert [event.exit for event in heard if isinstance(event, Finished)] == [75]


# --- for programs


def test_the_document_is_the_contract() -> None:
    out = io.StringIO()
    tell = JsonDocument(out)
    tell(STARTED)
    tell(replace(DONE, error=Failure("busy", EVIL, "try again")))
    assert list(json.loads(out.getvalue())) == list(FIELDS)
    assert out.getvalue().isascii()
    assert out.getvalue().count("\n") == 1
    assert document(DONE) == {
        "version": "0.1.0", "run": 17, "verb": "purge", "table": "events", "strategy": "key", "reason": "done",
        "exit": 0, "rows": 1234567, "read": 2000000, "batches": 243, "retries": 2, "rejected": 0, "locked": 0,
        "seconds": 123.457, "throttled_seconds": 0.0, "cutoff": None, "left": None, "next": None, "error": None,
    }  # fmt: skip


def test_events_are_lines_of_json_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path_warnings: list[str] = []
    for _ in range(2):
        tell = EventFile(path, path_warnings.append, lambda: datetime(2026, 1, 2, 3, 4, 5, 678901, UTC))
        for event in (STARTED, Committed(1, 2, 0.0123456, 500), Rejected(EVIL, "veto"), DONE):
            tell(event)
        assert len(path.read_text().splitlines()) % 4 == 0, "each line is on its way at once"
        tell.close()
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert [each["event"] for each in told] == ["started", "committed", "rejected", "finished"] * 2
    assert told[1] == {
        "event": "committed", "at": "2026-01-02T03:04:05.678Z",
        "rows": 1, "read": 2, "seconds": 0.012, "size": 500, "worker": 0, "pass_number": 0,
    }  # fmt: skip
    assert list(told[3]) == ["event", "at", *FIELDS]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path_warnings


def test_an_event_file_that_cannot_be_opened_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        EventFile(tmp_path / "missing" / "events", print)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_warns_once_and_the_run_goes_on() -> None:
    warnings: list[str] = []
    tell = EventFile(Path("/dev/full"), warnings.append)
    tell(STARTED)
    tell(DONE)
    assert len(warnings) == 1
    assert "The run continues" in warnings[0]


# --- streams that go away


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO, errno.ENOSPC])
def test_a_lost_stream_stops_nobody(number: int) -> None:
    for make in (ProgressLine, SummaryLine, SummaryParagraph, JsonDocument):
        stream = Broken(number)
        tell = make(stream)
        for event in (STARTED, Committed(1, 1, 0.1, 1), DONE, DONE):
            tell(event)
        assert stream.tries <= 1
        make(None)(DONE)
    closed = io.StringIO()
    closed.close()
    SummaryLine(closed)(DONE)
    ProgressLine(closed)(DONE)


def test_a_locale_without_unicode_costs_neither_the_stream_nor_its_width() -> None:
    inner = io.BytesIO()
    with io.TextIOWrapper(inner, encoding="ascii", errors="strict") as out:
        SafeStream(out).line("━━── … Zoë")
        SummaryLine(out)(DONE)
        first, second = inner.getvalue().decode("ascii").splitlines()
    assert first == "==-- . Zo\\xeb"
    assert second.startswith("purge events: done")


def test_a_document_that_cannot_be_written_is_said_but_not_to_a_reader_that_left() -> None:
    warnings: list[str] = []
    JsonDocument(Broken(errno.EPIPE), warnings.append)(DONE)
    assert not warnings
    JsonDocument(Broken(errno.ENOSPC), warnings.append)(DONE)
    assert len(warnings) == 1


def test_a_closed_pipe_leaves_no_traceback_and_no_exit_code() -> None:
    code = (
        "import sys\n"
        "from batchops.events import Finished\n"
        "from batchops.reporters.document import JsonDocument\n"
        "sys.stdin.read()\n"
        "JsonDocument(sys.stdout)(Finished('purge', 'events', 'done', 0, '0'))\n"
    )
    # Unbuffered, Python would have nothing left to flush at exit, and the test nothing to find.
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, env=buffered)
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    process.stdin.close()
    with process.stderr as stderr:
        assert stderr.read() == b""
    assert process.wait(30) == 0


def test_a_listener_that_raises_is_dropped_and_the_others_hear_on() -> None:
    warnings: list[str] = []
    heard: list[Event] = []

    def fails(_: Event) -> None:
        raise RuntimeError("no")

    emit = everyone([fails, heard.append], warnings.append)
    emit(STARTED)
    emit(DONE)
    assert heard == [STARTED, DONE]
    assert len(warnings) == 1


# --- figures


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (0.5, "0.5"), (9.96, "10"), (42, "42"), (999, "999"), (999.9, "1.0 k"), (12_345, "12.3 k"),
     (123_456, "123 k"), (2_500_000, "2.5 M"), (7e9, "7.0 G")],
)  # fmt: skip
def test_rough_numbers(number: float, text: str) -> None:
    assert figures.rough(number) == text


def test_percent_says_100_only_of_the_whole() -> None:
    assert [figures.percent(share) for share in (0, 0.0999, 0.999, 1)] == ["0 %", "9 %", "99 %", "100 %"]


def test_visible_keeps_what_can_be_read() -> None:
    assert figures.visible("Zoë 表 – ok") == "Zoë 表 – ok"
    assert figures.visible("a\x00b\ud800") == "a\\x00b\\ud800"


def test_only_a_purge_with_children_has_its_fields_in_events() -> None:
    plain = {"key": "id 7", "reason": "no", "changed": False}
    assert event_values(Rejected("id 7", "no")) == plain
    assert event_values(Rejected("id 7", "no", unmatched=True)) == plain | {"unmatched": True}
