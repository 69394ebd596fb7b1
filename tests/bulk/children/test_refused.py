"""Families that the database refuses to let go, or that others hold: the rest of their batch goes."""

import pytest

import batchops as library
from tests.bulk.children import shop
from tests.conftest import NewDatabase
from tests.services.database import Database

pytestmark = pytest.mark.in_turn
KEPT = "id=3"


@pytest.fixture
def postgresql_shop(new_database: NewDatabase) -> Database:
    database = new_database("postgresql")
    shop.make(database, customers=20)
    return database


def test_children_that_a_trigger_inserts(postgresql_shop: Database) -> None:
    """The parent is tried in some rounds, then rejected with the constraint's name."""
    postgresql_shop.script(
        "CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO items VALUES (nextval('more'), OLD.order_id); RETURN NULL; END $$;"
        "CREATE SEQUENCE more START 5000000;"
        "CREATE TRIGGER again AFTER DELETE ON items FOR EACH ROW WHEN (OLD.order_id = 2) EXECUTE FUNCTION again()"
    )
    before = shop.seen(postgresql_shop)
    finished = library.purge(**shop.job(postgresql_shop, allow=["triggers"], batch_size=200))
    assert (finished.reason, finished.rows, finished.rejected) == ("incomplete", 9, 1), finished
    (cause,) = finished.rejected_causes
    assert cause.names == (KEPT,)
    assert "items_order_id_fkey" in cause.reason
    assert shop.seen(postgresql_shop) == shop.wanted(before, lambda row: row["gone"] == 1 and row["id"] != 3)


@pytest.mark.full
def test_a_refusal_that_comes_with_commit(postgresql_shop: Database) -> None:
    """COMMIT names nobody: the batch is halved until the one parent is alone."""
    postgresql_shop.script(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE foreign_key_violation USING MESSAGE = 'violates \"late_key\"'; END $$;"
        "CREATE CONSTRAINT TRIGGER no AFTER DELETE ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
        " WHEN (OLD.id = 2) EXECUTE FUNCTION no()"
    )
    before = shop.seen(postgresql_shop)
    finished = library.purge(**shop.job(postgresql_shop, allow=["triggers"], batch_size=1_000))
    assert (finished.reason, finished.rows, finished.rejected) == ("incomplete", 9, 1), finished
    assert [(cause.reason, cause.names) for cause in finished.rejected_causes] == [('violates "late_key"', (KEPT,))]
    assert shop.seen(postgresql_shop) == shop.wanted(before, lambda row: row["gone"] == 1 and row["id"] != 3)


@pytest.mark.full
def test_a_child_that_is_locked(postgresql_shop: Database) -> None:
    """Its family is visited again, and left at last."""
    before = shop.seen(postgresql_shop)
    with postgresql_shop.engine.begin() as connection:
        connection.exec_driver_sql("SELECT * FROM orders WHERE id = 2 FOR UPDATE")
        finished = library.purge(**shop.job(postgresql_shop, lock_timeout="200ms", batch_size=1_000))
    assert (finished.reason, finished.rows, finished.locked) == ("incomplete", 9, 1), finished
    assert shop.seen(postgresql_shop) == shop.wanted(before, lambda row: row["gone"] == 1 and row["id"] != 3)
    again = library.purge(**shop.job(postgresql_shop))
    assert (again.reason, again.rows) == ("done", 1)
