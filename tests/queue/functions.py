"""Handlers as users write them; the drains of the tests find them by `--call tests.queue.functions:NAME`."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

Rows = Sequence[dict[str, Any]]


def noop(rows: Rows) -> None:
    """Done, all of them."""


def record(rows: Rows) -> None:
    """One line a row in the file that HANDLED names, a little work for each."""
    with Path(os.environ["HANDLED"]).open("a") as file:
        for row in rows:
            time.sleep(0.0005)
            file.write(f"{row['id']}\n")
            file.flush()


def effect(rows: Rows, connection: sa.Connection) -> None:
    """A row in `effects` for each, in the transaction that marks them."""
    insert = sa.text("INSERT INTO effects (job) VALUES (:id)")
    connection.execute(insert, [{"id": row["id"]} for row in rows])
    time.sleep(0.0005 * len(rows))


def some_fail(rows: Rows) -> list[str | None]:
    """A result a row: every tenth one failed."""
    return [f"job {row['id']} is odd" if row["id"] % 10 == 7 else None for row in rows]


def raises_at_tens(rows: Rows) -> None:
    """One bad row spoils the batch."""
    for row in rows:
        if row["id"] % 10 == 7:
            raise ValueError(f"cannot do {row['id']}")


def effect_but_tens(rows: Rows, connection: sa.Connection) -> None:
    """The effects first, then the trouble: what was done for the batch must be gone."""
    effect(rows, connection)
    raises_at_tens(rows)


def effect_and_results(rows: Rows, connection: sa.Connection) -> list[str | None]:
    """Effects for all, and for some the word that they failed."""
    effect(rows, connection)
    return some_fail(rows)


def poison(rows: Rows) -> None:
    """Job 13 takes the process along."""
    record(rows)
    if any(row["id"] == 13 for row in rows):
        os.kill(os.getpid(), signal.SIGKILL)


def too_few(rows: Rows) -> list[None]:
    """Nonsense: a result too few."""
    return [None] * (len(rows) - 1)


def of_one_row(job: Any) -> str:
    """A function of a row that does not say so, as many write it first."""
    return str(job["id"])


def each(row: dict[str, Any]) -> None:
    """One row a call; every tenth one fails."""
    raises_at_tens([row])


def each_inside(row: dict[str, Any], connection: sa.Connection) -> str | None:
    """The same with an effect in its transaction; one fails by its return value, one by its SQL."""
    effect([row], connection)
    if row["id"] == 3:
        return "three is odd"
    if row["id"] == 5:
        connection.execute(sa.text("INSERT INTO effects (job) VALUES (NULL)"))
    return each(row)


def fails(rows: Rows) -> list[str]:
    """None of them."""
    return ["no answer"] * len(rows)


def fails_inside(rows: Rows, connection: sa.Connection) -> list[str]:  # noqa: ARG001  what makes it one of those
    """The same with a transaction."""
    return fails(rows)


def number(rows: Rows) -> int:
    """Nonsense: no list."""
    return len(rows)


def strange(rows: Rows) -> list[object]:
    """Nonsense: results that mean nothing."""
    return [3.5] * len(rows)


def hangs_at_thirteen(rows: Rows) -> None:
    """Job 13 is never done with."""
    if any(row["id"] == 13 for row in rows):
        time.sleep(60)


def hangs_inside(rows: Rows, connection: sa.Connection) -> None:
    """The same with a transaction open."""
    effect(rows, connection)
    hangs_at_thirteen(rows)


def slow(rows: Rows) -> None:
    """At work until it is let go on, by a file beside HANDLED, which says that it has begun; a row alone is quick.

    The first claim is of one row.
    """
    if len(rows) == 1:
        return
    handled = Path(os.environ["HANDLED"])
    handled.write_text(f"{len(rows)} begun")
    while not go_on(handled).exists():
        time.sleep(0.02)


def slow_fails(rows: Rows) -> list[str | None]:
    """The same, and then none of them is done, but the row alone."""
    slow(rows)
    return ["no answer" if len(rows) > 1 else None for _ in rows]


def go_on(handled: Path) -> Path:
    """The file that lets `slow` go on."""
    return handled.with_suffix(".go")


NOT_A_FUNCTION = 3
