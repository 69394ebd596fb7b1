"""Texts from outside: what a column cannot hold is spelled out and the end is cut; what it can hold stays as it is."""

import pytest

from batchops.db.storable_text import BASIC, LONGEST_TEXT, TextRoom, codec_of, reason_of, spelled, storable
from batchops.outbox.sinks import Refused, Unsent
from batchops.queue.handlers import Failed

ANY = TextRoom()
HARD = "HTTP 500: <html>\0</html> caf\xe9 \u2192 \U0001f600 \udcff\ud83d"


@pytest.mark.parametrize("text", ["", "plain", "café → 😀", "two\nlines\t", "\\x00 as it was written", "\x1b[31m"])
def test_what_can_be_kept_is_kept_exactly(text: str) -> None:
    assert storable(text, ANY) == spelled(text) == text


@pytest.mark.parametrize(
    ("codecs", "kept"),
    [
        ((), "HTTP 500: <html>\\x00</html> café → 😀 \\udcff\\ud83d"),
        (("utf-8", BASIC), "HTTP 500: <html>\\x00</html> café → \\U0001f600 \\udcff\\ud83d"),
        (("utf-8", "cp1252"), "HTTP 500: <html>\\x00</html> café \\u2192 \\U0001f600 \\udcff\\ud83d"),
        (("ascii",), "HTTP 500: <html>\\x00</html> caf\\xe9 \\u2192 \\U0001f600 \\udcff\\ud83d"),
        (("iso8859-5", "utf-8"), "HTTP 500: <html>\\x00</html> caf\\xe9 \\u2192 \\U0001f600 \\udcff\\ud83d"),
    ],
)
def test_what_a_column_cannot_hold_is_spelled_out(codecs: tuple[str, ...], kept: str) -> None:
    assert storable(HARD, TextRoom(codecs)) == kept


@pytest.mark.parametrize("most", [0, 1, 3, 4, 10, 500])
def test_a_text_is_cut_to_the_characters_that_fit(most: int) -> None:
    room = TextRoom(("utf-8",), characters=most)
    assert len(storable("x" * most, room)) == len(storable("x" * (most + 1), room)) == most
    assert storable("→" * 600, room).endswith("...") is (most > 3)


@pytest.mark.parametrize("codec", ["utf-8", "cp1252", "euc-jp"])
def test_a_text_is_cut_to_the_octets_that_fit(codec: str) -> None:
    room = TextRoom(("utf-8", codec), characters=255, octets=255)
    for text in ("x" * 255, "é" * 200, "→" * 100, "😀" * 300):
        kept = storable(text, room)
        assert len(kept.encode(codec)) <= 255
        assert kept == text or kept.endswith("...")


def test_a_text_of_a_megabyte_is_cut() -> None:
    assert len(spelled("\0" * 1_000_000)) == len(spelled("x" * 1_000_000)) == LONGEST_TEXT


class MuteError(Exception):
    """An exception that cannot say what it is."""

    def __str__(self) -> str:
        raise RecursionError("maximum depth")


def test_an_error_that_cannot_be_asked_is_told_of_all_the_same() -> None:
    assert reason_of(MuteError()) == "its text is not available (RecursionError)"
    assert reason_of(ValueError("two\nlines\0")) == "two lines\\x00"
    assert reason_of(ValueError()) == ""


def test_every_result_has_a_reason_that_can_be_told() -> None:
    for made in (Failed(HARD), Refused(HARD), Unsent(HARD)):
        assert made.reason == spelled(HARD)


@pytest.mark.parametrize(
    ("name", "codec"), [("LATIN1", "iso8859-1"), ("no such set", "ascii"), ("UTF8", "utf-8"), ("EUC_JP", "euc_jp")]
)
def test_an_unknown_character_set_is_taken_for_ascii(name: str, codec: str) -> None:
    assert codec_of(name) == codec
