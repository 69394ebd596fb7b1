"""Statements that are sent as one message: BEGIN with the first one, a mark with a claim, COMMIT with the last one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
import sqlalchemy as sa

_UNSENT = "batchops_unsent"
Found = Sequence[tuple[Any, ...]]


@dataclass
class Unsent:
    """What is to be sent with a connection's next statement."""

    before: list[str]
    behind: str = ""
    answers: list[list[Found]] = field(default_factory=list)
    """Where the rows belong that the statements in `before` give: BEGIN gives none."""


def send_later(connection: sa.Connection, text: str, behind: str = "") -> None:
    """Send it before the next statement, and `behind` after that one."""
    connection.info[_UNSENT] = Unsent([text], behind)


def may_wait(connection: sa.Connection) -> bool:
    """Whether something is still to be sent with the next statement."""
    return _UNSENT in connection.info


def wait_for_next(connection: sa.Connection, text: str, params: Mapping[str, Any]) -> Callable[[], Found]:
    """Send the statement with the next one too; its rows, which are asked of the server now if they have not come."""
    unsent: Unsent = connection.info[_UNSENT]
    unsent.before.append(_cursor(connection).mogrify(text, params))
    answer: list[Found] = []
    unsent.answers.append(answer)

    def rows() -> Found:
        if not answer:
            send_unsent(connection)
        return answer[0]

    return rows


def send_unsent(connection: sa.Connection) -> None:
    """Send what still waits for a next statement, if anything does."""
    unsent: Unsent | None = connection.info.pop(_UNSENT, None)
    if unsent is not None:
        _sent(connection, unsent, unsent.before)


def send_with(connection: sa.Connection, text: str, params: Mapping[str, Any]) -> Found:
    """The statement's rows; it is sent with all that waits for it."""
    unsent: Unsent = connection.info.pop(_UNSENT)
    own: list[Found] = []
    unsent.answers.append(own)
    behind = [unsent.behind] if unsent.behind else []
    _sent(connection, unsent, [*unsent.before, _cursor(connection).mogrify(text, params), *behind])
    return own[0]


def forget_unsent(_: object, record: Any) -> None:
    """No statement followed, so none may begin by it in the next transaction."""
    record.info.pop(_UNSENT, None)


def _sent(connection: sa.Connection, unsent: Unsent, texts: Sequence[str]) -> None:
    """The statements as one message, which takes values as literals alone."""
    cursor = _cursor(connection)
    try:
        cursor.execute("; ".join(texts).encode())
    except psycopg.Error:
        if cursor.connection.closed:
            connection.engine.dispose()  # as SQLAlchemy does: the other connections have most likely been lost too
        raise
    answers, more = iter(unsent.answers), True
    while more:
        if cursor.pgresult is not None and cursor.pgresult.nfields:  # `description` would describe every column
            next(answers).append(cursor.fetchall())
        more = cursor.nextset() is True


def _cursor(connection: sa.Connection) -> psycopg.ClientCursor[tuple[Any, ...]]:
    driver_connection: Any = connection.connection.driver_connection
    return psycopg.ClientCursor(driver_connection)
