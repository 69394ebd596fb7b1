"""EXPLAIN around any statement, its parameters bound as they will be when it runs."""

from typing import Any

import sqlalchemy as sa


def explained(
    connection: sa.Connection, statement: sa.Select[Any] | sa.Insert | sa.Delete | sa.Update, prefix: str
) -> sa.CursorResult[Any]:
    """The rows with which the server explains the statement, which is not run.

    Sent to the driver as text: SQLAlchemy takes a DELETE for one whatever stands before it, and drops the rows.
    """
    compiled = statement.compile(connection.engine, compile_kwargs={"render_postcompile": True})
    values = compiled.construct_params()
    positions = getattr(compiled, "positiontup", None)
    bound = values if positions is None else tuple(values[name] for name in positions)
    return connection.exec_driver_sql(f"{prefix} {compiled}", bound)
