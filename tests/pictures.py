"""`python -m tests.pictures` renews batchops/help/*.svg: screens of real runs on a SQLite file, exported by rich."""

import io
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import pexpect
import pyte
from pyte.screens import Char
from rich.console import Console
from rich.style import Style
from rich.text import Text

from batchops.cli.demo_database import make_demo_database
from tests.command import environment
from tests.documents import HELP

COLUMNS, LINES = 100, 60
ROWS = 400_000
PURGE = ("purge", "events", "--where", "expired = 1")
FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: "Fira Code", Consolas, Menlo, monospace; font-size: {char_height}px;
  line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""rich's own without the fonts that it would load from elsewhere."""


class Terminal:
    """A terminal with one batchops in it."""

    def __init__(self, home: Path, *words: str) -> None:
        self._screen = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self._screen)
        self._stream.feed(f"$ batchops {' '.join(quoted(words))}\r\n".encode())
        env = environment(home) | {"TERM": "xterm-256color", "BATCHOPS_URL": "sqlite:///shop.db"}
        del env["COLUMNS"]
        self._child = pexpect.spawn(
            sys.executable, ["-m", "batchops", *words], cwd=str(home), env=env, dimensions=(LINES, COLUMNS)
        )

    def wait(self, pattern: str) -> None:
        """Until the screen has that."""
        while not re.search(pattern, "\n".join(self._screen.display)):
            self._stream.feed(self._child.read_nonblocking(4096, timeout=120))

    def answer(self, text: str) -> None:
        self._child.sendline(text)

    def end(self) -> None:
        """Until the process ends."""
        try:
            while True:
                self._stream.feed(self._child.read_nonblocking(4096, timeout=120))
        except pexpect.EOF:
            self._child.close()

    def lines(self) -> list[Text]:
        """The screen down to its last line with something on it."""
        rows = [self._screen.buffer[y] for y in range(LINES)]
        texts = [line([row[x] for x in range(COLUMNS)]) for row in rows]
        while texts and not texts[-1].plain.strip():
            texts.pop()
        return texts


def line(row: list[Char]) -> Text:
    parts = groupby(row, _style)
    return Text.assemble(*(("".join(char.data for char in chars), style) for style, chars in parts))


def _style(char: Char) -> Style:
    return Style(
        color=_colour(char.fg), bgcolor=_colour(char.bg), bold=char.bold, italic=char.italics, reverse=char.reverse
    )


def _colour(name: str) -> str | None:
    if name == "default":
        return None
    if len(name) == 6 and set(name) <= set("0123456789abcdef"):
        return f"#{name}"
    return {"brown": "yellow"}.get(name, name.replace("bright", "bright_"))


def quoted(words: tuple[str, ...]) -> Iterator[str]:
    yield from (f'"{word}"' if " " in word else word for word in words)


def draw(name: str, lines: list[Text]) -> None:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for each in lines:
        console.print(each, no_wrap=True, crop=True)
    path = HELP / f"{name}.svg"
    console.save_svg(str(path), title="batchops", code_format=FORMAT, unique_id=name)
    print(path)


@contextmanager
def shop() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        make_demo_database(Path(folder) / "shop.db", ROWS)
        yield Path(folder)


def main() -> None:
    with shop() as home:
        listed = Terminal(home, "--help")
        listed.end()
        draw("help", listed.lines())
        purge = Terminal(home, *PURGE)
        purge.wait(r"\[y/N\]")
        draw("plan", purge.lines())
        purge.answer("y")
        purge.wait(r" [4-9]\d %")
        draw("progress", purge.lines())
        purge.end()
        draw("summary", purge.lines())


if __name__ == "__main__":
    main()
