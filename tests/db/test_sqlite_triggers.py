"""The events of SQLite's triggers are read from their SQL, however it is laid out."""

import pytest
import sqlalchemy as sa

from batchops.db.facts import Trigger
from batchops.db.sqlite.catalog import find
from batchops.db.sqlite.facts import SQLiteFacts
from batchops.db.sqlite.row_loading import SQLiteRowLoading


@pytest.mark.parametrize(
    ("head", "timing", "event", "columns"),
    [
        ("t1 AFTER INSERT\nON t", "after", "INSERT", ()),
        ("t1 insert on t", "before", "INSERT", ()),
        ("t1 AFTER DELETE /* gone\n -- */ON t", "after", "DELETE", ()),
        ("t1 -- a DELETE ON t\nAFTER UPDATE -- it's of note\nON t", "after", "UPDATE", ()),
        ("t1 BEFORE UPDATE OF/**/\"of\",[a,b]\n, `x``y`,'on' ON t", "before", "UPDATE", ("of", "a,b", "x`y", "on")),
        ('"after delete on x" BEFORE INSERT ON t', "before", "INSERT", ()),
        ("[insert] DELETE ON[t]", "before", "DELETE", ()),
        ("IF NOT EXISTS main.\"update\" AFTER/**/INSERT ON\"t\"", "after", "INSERT", ()),
    ],
)  # fmt: skip
def test_triggers(head: str, timing: str, event: str, columns: tuple[str, ...]) -> None:
    with sa.create_engine("sqlite://").connect() as connection:
        connection.exec_driver_sql('CREATE TABLE t (v, "of", "a,b", "x`y", "on")')
        connection.exec_driver_sql(f"CREATE TRIGGER {head} BEGIN SELECT 'DELETE ON t' --;\n; END")
        name = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalar_one()
        table = find(connection, None, "t")
        assert table is not None
        inserting = [name] if event == "INSERT" else []
        assert SQLiteRowLoading().triggers(connection, table) == inserting
        found = SQLiteFacts().guards(connection, [table])[None, "t"].triggers
        assert found == (() if inserting else (Trigger(name, "t", timing, event, columns),))
