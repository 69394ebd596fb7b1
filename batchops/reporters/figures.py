"""Formats numbers and foreign text for people."""

from collections.abc import Mapping

_LARGE = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(number: int) -> str:
    """Return an exact count: 1,234,567."""
    return f"{number:,}"


def counted(number: int, one: str, many: str = "") -> str:
    """Return a count with its noun: 1 row, 2 rows, 3 retries."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def by_table(rows: Mapping[str, int]) -> str:
    """Return the rows by table, the most first: items 480, orders 120."""
    ordered = sorted(rows.items(), key=lambda table: (-table[1], table[0]))
    return ", ".join(f"{visible(name)} {count(number)}" for name, number in ordered)


def rough(number: float) -> str:
    """Return a number to three digits: 42, 12.3 k, 2.5 M."""
    for size, letter in _LARGE:
        if number >= size * 0.9995:
            scaled = number / size
            return f"{scaled:.0f} {letter}" if scaled >= 99.95 else f"{scaled:.1f} {letter}"
    return f"{number:.0f}" if number >= 9.95 or number == int(number) else f"{number:.1f}"


def rate(per_second: float) -> str:
    """Return a speed: 850/s, 12.3 k/s."""
    return f"{rough(per_second)}/s"


def percent(share: float) -> str:
    """Return a share between 0 and 1 as a percentage; 100 % only for the whole."""
    return f"{min(int(share * 100), 99) if share < 1 else 100} %"


def visible(text: str) -> str:
    r"""Return foreign text on one line; characters that control a terminal or forge a line are escaped: \x1b, \n."""
    return "".join(letter if letter.isprintable() else _spelled(letter) for letter in text)


def _spelled(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
