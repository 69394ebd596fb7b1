"""A suggested command can be read, and a shell gives back the words it was made of."""

import shlex
import subprocess

import pytest

from batchops.spec.command_line import joined, quoted

WORDS = [
    "id > 5", "status = 'done'",
    "a\"b", "it's \"so\"", "$HOME", "'$HOME'", "`x`", "'`x`'", "a\\b", "'a\\b'", "!x", "'!x'",
    "", "plain", "x'; rm -rf /", "two\nlines 'and'", "ü 'ö'", "name like 'a%'",
]  # fmt: skip


def test_single_quotes_stand_in_double_ones() -> None:
    assert quoted("status = 'done'") == "\"status = 'done'\""
    assert quoted("plain") == "plain"
    assert quoted("id > 5") == "'id > 5'"
    assert quoted("""a = '1' AND "b" = '2'""") == r'''"a = '1' AND \"b\" = '2'"'''
    assert quoted("price > '$5'") == shlex.quote("price > '$5'")


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_shell_gives_the_words_back(shell: str) -> None:
    line = joined(["printf", "%s\\0", *WORDS])
    said = subprocess.run([shell, "-c", line], capture_output=True, text=True, check=True).stdout
    assert said.split("\0")[:-1] == WORDS
    assert shlex.split(line)[2:] == WORDS
