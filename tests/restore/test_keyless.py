"""Tables without a key in an archive of several: what a restore may do, and how many of their rows are still there."""

from pathlib import Path

import pytest

import batchops as library
from batchops.errors import RefusedError
from tests.bulk.children import shop
from tests.command import here
from tests.conftest import NewDatabase
from tests.restore.rows import archive_table
from tests.services.database import Database

pytestmark = pytest.mark.in_turn
LOGINS = "SELECT customer_id, note FROM logins ORDER BY 1, 2"


@pytest.fixture
def archived(database: Database, tmp_path: Path) -> Path:
    """The shop with logins, of which two are alike; one is like them but for the case of a letter, and stays."""
    shop.make(database, customers=10)
    database.script("CREATE TABLE logins (customer_id integer, note varchar(20), FOREIGN KEY (customer_id) "
                    "REFERENCES customers (id)); CREATE INDEX logins_customer ON logins (customer_id)")  # fmt: skip
    database.execute("INSERT INTO logins VALUES (1, 'a'), (1, 'a'), (3, 'b'), (3, NULL), (2, 'c')")
    finished = library.archive(**shop.job(database, to=f"{tmp_path}/", format="jsonl"))
    assert finished.reason == "done", finished
    return tmp_path


def against(database: Database, folder: Path, table: str = "logins") -> tuple[int, str]:
    done = here("archive", "verify", folder, "--against", database.url)
    return done.code, "\n".join(line for line in done.out.splitlines() if f" {table}:" in line)


def test_whole_rows_are_compared(database: Database, archived: Path) -> None:
    code, said = against(database, archived)
    assert (code, "apart" in said) == (0, True), said
    database.script("DROP TABLE logins; CREATE TABLE logins (customer_id integer, note varchar(20))")
    database.execute("INSERT INTO logins VALUES (1, 'A'), (1, 'a'), (3, NULL), (3, NULL)")
    code, said = against(database, archived)
    assert (code, "logins: 2 rows in the table too, as they were archived" in said) == (3, True), said
    assert "customer_id=3, note=NULL" in said
    assert "compared as whole rows" in said


def test_only_what_must_be_is_refused(database: Database, archived: Path) -> None:
    """A table without rows takes all; where a run goes on, or has ended, its ledger knows what is there."""
    database.execute("DELETE FROM logins")
    job = {"destination": archived, "url": database.url, "on_conflict": "skip"}
    some = library.restore(**job, batch_size=100, max_batches=2)
    assert some.reason == "max-batches", some
    done = library.restore(**job)
    assert (done.reason, done.rejected) == ("done", 0), done
    assert sorted(database.rows(LOGINS), key=str) == sorted([(1, "a"), (1, "a"), (3, "b"), (3, None)], key=str)
    with pytest.raises(
        RefusedError, match='"logins" has no key of archived, not generated columns, and has rows'
    ) as refused:
        library.restore(**job, restart=True)
    assert "empty it" in refused.value.hint
    database.execute("DELETE FROM logins")
    again = library.restore(**job, restart=True)
    assert (again.reason, again.rows) == ("done", 4), again
    assert database.scalar("SELECT count(*) FROM logins") == 4


@pytest.mark.parametrize("name", ["postgresql", "sqlite"])
def test_no_row_is_found_by_a_key_that_the_database_computes(
    name: str, new_database: NewDatabase, tmp_path: Path
) -> None:
    """MariaDB takes no such key."""
    database = new_database(name)
    database.script(
        "CREATE TABLE p (id integer PRIMARY KEY); CREATE TABLE g (a integer, p integer REFERENCES p, "
        "b integer GENERATED ALWAYS AS (a + 1) STORED NOT NULL UNIQUE); CREATE INDEX g_p ON g (p)"
    )
    database.execute("INSERT INTO p VALUES (1)")
    database.execute("INSERT INTO g VALUES (1, 1), (2, NULL)")
    archive_table(database, "g", tmp_path / "g")
    database.execute("DELETE FROM g WHERE a = 2")
    with pytest.raises(RefusedError, match="not generated columns, and has rows"):
        library.restore(destination=tmp_path / "g", url=database.url, on_conflict="skip")
    done = library.restore(destination=tmp_path / "g", url=database.url)
    assert (done.rows, done.rejected) == (1, 1), done
    code, said = against(database, tmp_path / "g", "g")
    assert (code, "g: 2 rows in the table too, as they were archived" in said) == (3, True), said
    job = ("archive", "p", "--url", database.url, "--all-rows", "--with-children", "--edge", "g.p = null")
    planned = here(*job, "--to", f"{tmp_path}/p/", "-n")
    assert "no restore gives that back" in planned.err, planned
