"""Families of a shop that are archived under kills, then restored."""

import time

from tests.bulk.archiving.archived import texts_in
from tests.bulk.archiving.test_children import compared_with
from tests.bulk.children import shop
from tests.command import Batchops
from tests.crash.test_bucket_families import lost
from tests.figures import Figures
from tests.kills.killing import Size, killed, settled, started_by
from tests.kills.places import Folder, Store
from tests.services.database import Database

ROWS_EACH = 38
"""Rows of all tables for one customer; half of them go."""


def archived_under_kills(
    batchops: Batchops, database: Database, place: Folder | Store, workers: str, size: Size, figures: Figures
) -> None:  # fmt: skip
    """Fail if a row of any table is lost, changed or in both, or if a restore does not give back what there was."""
    started = time.monotonic()
    shop.make(database, customers=size.rows // ROWS_EACH)
    before = shop.seen(database)
    command = ("archive", "customers", "--where", shop.GONE, "--with-children", "--url", database.url, "-y")
    command = (*command, *place.words, "--workers", workers, "--batch-size", "500")

    def check(kill: int) -> None:
        if kill % size.every == 0:
            settled(database)
            assert not shop.lost(database), kill
            if isinstance(place, Store):
                assert not lost(before, database, place.bucket.texts(undecided=True)), kill

    gone = size.rows // ROWS_EACH // 2
    met = killed(lambda: started_by(batchops, command, place.env), database, gone, size.kills, check)
    done = batchops(*command, "--json", env=place.env)
    assert (done.code, done.json()["unsealed"]) == (0, 0), done
    archived, nulled = (
        place.bucket.texts(nulled=one) if isinstance(place, Store) else texts_in(place.path, nulled=one)
        for one in (False, True)
    )
    compared_with(before, database, archived, nulled, "customers", shop.EDGES, lambda row: row["gone"] == 1)
    at = place.words[1]
    assert batchops("archive", "verify", at, "--against", database.url, env=place.env).code == 0
    restored = batchops("restore", at, "--url", database.url, "-y", "--json", env=place.env)
    assert restored.code == 0, restored
    assert shop.seen(database) == before
    figures(
        rows=sum(map(len, before.values())), kills=size.kills, met_a_run_at_work=met, seconds=time.monotonic() - started
    )  # fmt: skip
    assert met >= size.kills // 2
