"""A table's columns by name."""

import pytest

from batchops.db.table import Column, Table


def test_a_column_that_is_not_there_ends_no_generator_in_silence() -> None:
    table = Table(None, "t", "table", (Column("a", "int", nullable=True), Column("b", "int", nullable=True)), (), "t")
    assert table.column("b").name == "b"
    with pytest.raises(KeyError, match='"t" has no column "c", only a, b'):
        list(table.column(name) for name in ("a", "c"))  # noqa: C400  a generator is what is tried
