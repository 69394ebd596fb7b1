"""Rewrites numbers from the way in which Arrow spells them to PostgreSQL's."""

import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from batchops.db.exact_text import restyled


def positional(text: str, scale: int) -> str:
    """Return a number without an exponent: `1E-8` becomes `0.00000001`."""
    digits, _, _ = text.partition("E")
    sign, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    mantissa, _, fraction = digits.partition(".")
    exponent = int(text.partition("E")[2])
    unscaled = (mantissa + fraction).rjust(1, "0")
    places = len(fraction) - exponent
    unscaled = unscaled.rjust(places + 1, "0")
    assert places == scale
    return f"{sign}{unscaled[:-places]}.{unscaled[-places:]}"


def mended(texts: Any, pattern: str, mend: Callable[[str], str]) -> Any:
    """Return Arrow's texts, with those that match the pattern rewritten by `mend`."""
    found = pc.match_substring_regex(texts, pattern)
    if not pc.any(found).as_py():
        return texts
    wrong = re.compile(pattern)
    mended = [text if text is None or not wrong.search(text) else mend(text) for text in texts.to_pylist()]
    return pa.array(mended, pa.string())


def number(widest: int) -> Callable[[Any], Any]:
    """Return a function that spells floating-point numbers, with an exponent beyond `widest` digits."""
    words = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    pattern = rf"e|n|^-?0\.0000|\d{{{widest + 1}}}|^-?\d{{{widest + 1},}}"

    def write(values: Any) -> Any:
        return mended(values.cast(pa.string()), pattern, lambda text: words.get(text) or restyled(text, widest))

    return write
